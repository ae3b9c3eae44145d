//! The two exchanges with a task's machine, challenge and session, and every way in which they are refused.

mod broker;
mod challenge;
mod evidence;
mod facts;
mod offer;
mod refusal;
pub(crate) mod registered;

pub(crate) use broker::vouch;
pub(crate) use challenge::challenge;
pub(crate) use evidence::{Trust, release};
pub(crate) use facts::{describe, task_and_deal};
pub(crate) use offer::offer;
pub(crate) use refusal::Refusal;
