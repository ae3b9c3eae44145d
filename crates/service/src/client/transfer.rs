//! Archives over HTTP: streamed from and to files, never whole in memory.

use std::{ops::Range, path::Path};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream::BoxStream};
use http::{HeaderMap, Method, Response, StatusCode, header};
use iexec_protocol::call::CallError;
use tokio_util::io::ReaderStream;

use super::{Client, read_whole, unreachable};

/// A download under way.
pub struct Download {
    /// Size of what the stream yields, in bytes, if the server says.
    pub size: Option<u64>,
    /// The bytes, as they come; an error is the last item.
    pub stream: BoxStream<'static, Result<Bytes, CallError>>,
}

impl Client {
    /// Begins to download `url`, or the given range of its bytes. The caller bounds how much it takes.
    pub fn download(&self, url: &str, range: Option<Range<u64>>) -> BoxFuture<'_, Result<Download, CallError>> {
        let url = url.to_owned();
        Box::pin(async move {
            let mut request = self.transfers.get(&url);
            if let Some(range) = &range {
                request =
                    request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
            }
            let answer = request.send().await.map_err(|error| unreachable(&url, &error))?;
            let wanted = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            if answer.status() != wanted {
                return Err(refusal(&url, answer, wanted).await);
            }
            let size = answer.content_length();
            let stream = answer.bytes_stream().map_err(move |error| unreachable(&url, &error)).boxed();
            Ok(Download { size, stream })
        })
    }

    /// Sends the file at `path` as a request's body; `read` is given the whole answer.
    pub fn upload_file<'a>(
        &'a self,
        method: Method,
        url: &'a str,
        headers: HeaderMap,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<Response<Vec<u8>>, CallError>> {
        Box::pin(async move {
            let failed = |error: std::io::Error| CallError::Request(format!("{}: {error}", path.display()));
            let file = tokio::fs::File::open(path).await.map_err(failed)?;
            let size = file.metadata().await.map_err(failed)?.len();
            let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, 64 * 1024));
            let request = self.transfers.request(method, url).headers(headers).header(header::CONTENT_LENGTH, size);
            let answer = request.body(body).send().await.map_err(|error| unreachable(url, &error))?;
            read_whole(url, answer).await
        })
    }
}

async fn refusal(url: &str, answer: reqwest::Response, wanted: StatusCode) -> CallError {
    let status = answer.status();
    if status.is_success() {
        return CallError::Malformed(format!("{url} answers {status} where {wanted} is expected"));
    }
    match read_whole(url, answer).await {
        Ok(answer) => iexec_protocol::call::refusal(&answer),
        Err(error) => error,
    }
}
