//! How a service is told to stop.

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT or SIGTERM (Ctrl-C elsewhere). A second such signal ends the process at once,
/// with status 1: what is not answered then is not answered.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: requests that are open are answered first; a second signal ends them");
        cancel.cancel();
        signals.next().await;
        tracing::warn!("ended by a second signal");
        std::process::exit(1);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => (), _ = self.interrupt.recv() => () }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
