//! Sends a protocol call and streams archives; every wait and every size has a bound.

mod transfer;

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use iexec_protocol::call::{Call, CallError, MAX_REPLY};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use transfer::Download;

/// Time for one whole exchange of a [`Call`].
pub const CALL_TIME: Duration = Duration::from_secs(10);

const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Longest silence in a transfer.
const SILENCE: Duration = Duration::from_secs(30);

/// An HTTP client; clones share its connections. It asks no system proxy.
#[derive(Clone, Debug)]
pub struct Client {
    calls: reqwest::Client,
    transfers: reqwest::Client,
}

impl Client {
    /// A client. [`crate::crypto::install`] has run before.
    pub fn new() -> anyhow::Result<Self> {
        let builder = || {
            let agent = concat!("iexec/", env!("CARGO_PKG_VERSION"));
            reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIME).tcp_nodelay(true).user_agent(agent)
        };
        let calls = builder().timeout(CALL_TIME).redirect(reqwest::redirect::Policy::none()).build();
        let transfers = builder().read_timeout(SILENCE).redirect(reqwest::redirect::Policy::limited(5)).build();
        let failed = "the HTTP client cannot be made";
        Ok(Self { calls: calls.context(failed)?, transfers: transfers.context(failed)? })
    }

    /// Sends a call to the service at `base` and reads its answer.
    pub fn send<'a, C>(&'a self, base: &'a str, call: &'a C) -> BoxFuture<'a, Result<C::Reply, CallError>>
    where
        C: Call + Sync,
        C::Reply: Send,
    {
        Box::pin(async move {
            let request = call.request(base)?;
            call.reply(self.exchange(request).await?)
        })
    }

    /// Sends a call, again and again while the failure may pass, with growing pauses (0.1 s to 5 s), until `within` is
    /// over or `stop`; then the last failure is the answer. Only for calls that may be repeated.
    pub fn send_retrying<'a, C>(
        &'a self,
        base: &'a str,
        call: &'a C,
        within: Duration,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<C::Reply, CallError>>
    where
        C: Call + Sync,
        C::Reply: Send,
    {
        Box::pin(async move {
            let deadline = Instant::now() + within;
            let mut pause = Duration::from_millis(100);
            loop {
                let error = match self.send(base, call).await {
                    Err(error) if error.is_transient() => error,
                    done => return done,
                };
                if Instant::now() + pause > deadline {
                    return Err(error);
                }
                tracing::debug!("{error}; again in {pause:?}");
                tokio::select! {
                    () = stop.cancelled() => return Err(error),
                    () = tokio::time::sleep(pause) => (),
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        })
    }

    fn exchange(&self, request: http::Request<Vec<u8>>) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, CallError>> {
        Box::pin(async move {
            let url = request.uri().to_string();
            let request = reqwest::Request::try_from(request).map_err(|error| CallError::Request(error.to_string()))?;
            let answer = self.calls.execute(request).await.map_err(|error| unreachable(&url, &error))?;
            read_whole(&url, answer).await
        })
    }
}

/// Reads an answer of at most [`MAX_REPLY`] bytes.
async fn read_whole(url: &str, mut answer: reqwest::Response) -> Result<http::Response<Vec<u8>>, CallError> {
    let mut head = http::Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = answer.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(url, &error))? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err(CallError::Malformed(format!("{url} answers with more than {MAX_REPLY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(head.map(|()| body))
}

/// The failure with its innermost cause, which is what helps (`Connection refused`), and without the URL's query.
fn unreachable(url: &str, error: &reqwest::Error) -> CallError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
    CallError::Unreachable { url: url.split('?').next().unwrap_or(url).to_owned(), error: why }
}
