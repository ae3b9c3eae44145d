//! What every daemon shares: run, log, measure, stop, send a call, answer one.
//!
//! It is not where anything of the protocol is decided: it knows no chain, no order and no task.

pub mod client;
pub mod clock;
pub mod crypto;
pub mod json;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod problem;
pub mod serve;
pub mod store;

pub use client::Client;
pub use futures_util::future::BoxFuture;
pub use json::Json;
pub use metrics::Metrics;
pub use problem::Problem;
pub use serve::{Listener, Options, serve};
pub use store::Store;
pub use tokio_util::sync::CancellationToken;
