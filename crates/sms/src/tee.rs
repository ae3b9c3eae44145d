//! The two exchanges with a task's machine, challenge and session, and every way in which they are refused.

mod challenge;
mod evidence;
mod facts;
mod offer;
mod refusal;
mod registered;

pub(crate) use challenge::challenge;
pub(crate) use evidence::{Trust, release};
pub(crate) use offer::offer;
pub(crate) use refusal::Refusal;
