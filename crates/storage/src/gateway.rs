//! The gateway (rules S7 to S9): archives by their content identifier, streamed, whole or one range.

use std::io::{ErrorKind, SeekFrom};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use iexec_protocol::cid::Cid;
use iexec_service::Problem;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_util::io::ReaderStream;

use crate::{
    Storage,
    byte_range::{self, Part},
};

/// Bytes read from disk at a time.
const CHUNK: usize = 128 * 1024;

/// Answers GET or HEAD of an archive.
pub(crate) async fn send(
    storage: &Storage,
    cid: Cid,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let file = File::open(storage.archives.path(cid)).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::not_found(format!("{cid} is not kept here")),
        _ => error.into(),
    })?;
    let size = file.metadata().await?.len();
    let etag = format!("\"{cid}\"");
    if matches(headers, header::IF_NONE_MATCH, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, described(&etag)?).into_response());
    }
    let current = !headers.contains_key(header::IF_RANGE) || matches(headers, header::IF_RANGE, &etag);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| current);
    match byte_range::read(range, size) {
        Part::Whole => answer(StatusCode::OK, file, (0, size), described(&etag)?, method).await,
        Part::Range(first, last) => {
            let mut head = described(&etag)?;
            head.insert(header::CONTENT_RANGE, value(&format!("bytes {first}-{last}/{size}"))?);
            answer(StatusCode::PARTIAL_CONTENT, file, (first, last - first + 1), head, method).await
        }
        Part::Unsatisfiable => {
            let refused = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("the archive has {size} bytes"));
            Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], refused).into_response())
        }
    }
}

fn matches(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    let tags = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}

/// What is said of an archive in every answer; its bytes never change.
fn described(etag: &str) -> Result<HeaderMap, Problem> {
    Ok(HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::ETAG, value(etag)?),
    ]))
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(Problem::internal)
}

async fn answer(
    status: StatusCode,
    mut file: File,
    (first, length): (u64, u64),
    mut head: HeaderMap,
    method: &Method,
) -> Result<Response, Problem> {
    head.insert(header::CONTENT_LENGTH, length.into());
    if method == Method::HEAD {
        return Ok((status, head, Body::empty()).into_response());
    }
    file.seek(SeekFrom::Start(first)).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK));
    Ok((status, head, body).into_response())
}
