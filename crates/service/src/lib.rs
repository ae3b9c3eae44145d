//! What every daemon shares: run, log, measure, stop, send a call, answer one.
//!
//! It is not where anything of the protocol is decided: it knows no chain, no order and no task.

#[cfg(feature = "server")]
pub mod caller;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "client")]
pub mod crypto;
#[cfg(feature = "server")]
pub mod health;
#[cfg(feature = "server")]
pub mod json;
#[cfg(feature = "server")]
pub mod limit;
#[cfg(feature = "server")]
pub mod listen;
#[cfg(feature = "server")]
pub mod logging;
#[cfg(all(feature = "server", feature = "store"))]
pub mod login;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod problem;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "server")]
pub mod tls;

#[cfg(feature = "client")]
pub use client::Client;
pub use futures_util::future::BoxFuture;
#[cfg(feature = "server")]
pub use health::Check;
#[cfg(feature = "server")]
pub use json::Json;
#[cfg(feature = "server")]
pub use listen::{Listen, Listener};
#[cfg(feature = "server")]
pub use metrics::Metrics;
#[cfg(feature = "server")]
pub use problem::Problem;
#[cfg(feature = "server")]
pub use serve::{Options, serve};
#[cfg(feature = "store")]
pub use store::Store;
pub use tokio_util::sync::CancellationToken;
