//! The stylesheet and the mark, under names that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::refusal::{Kind, Refusal};

const STYLE: &str = include_str!("../../assets/style.css");
const MARK: &str = include_str!("../../assets/mark.svg");

/// `style-<hash>.css`.
pub(crate) static STYLE_NAME: LazyLock<String> =
    LazyLock::new(|| format!("style-{:016x}.css", fingerprint(STYLE.as_bytes())));
/// `mark-<hash>.svg`.
pub(crate) static MARK_NAME: LazyLock<String> =
    LazyLock::new(|| format!("mark-{:016x}.svg", fingerprint(MARK.as_bytes())));

/// `GET /web/assets/{name}`: for a year, since another content has another name.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let (kind, content) = if name == *STYLE_NAME {
        ("text/css; charset=utf-8", STYLE)
    } else if name == *MARK_NAME {
        ("image/svg+xml", MARK)
    } else {
        return Refusal::new(Kind::Page, StatusCode::NOT_FOUND, "there is nothing at this address")
            .into_response();
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, content).into_response()
}

/// `GET /favicon.ico`, which browsers ask for unasked.
pub(crate) async fn icon() -> Response {
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")];
    (headers, MARK).into_response()
}

/// FNV-1a: tells versions apart, guards nothing.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
