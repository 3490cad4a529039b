//! Stylesheet, scripts and pictures, under names that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::refusal::{Kind, Refusal};

/// A file that is part of the program.
struct Asset {
    /// As templates name it: `style.css`.
    plain: &'static str,
    /// Where it is: `/web/assets/style-<hash>.css`.
    path: String,
    kind: &'static str,
    content: &'static str,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = [
        ("style.css", include_str!("../../assets/style.css")),
        ("mark.svg", include_str!("../../assets/mark.svg")),
        ("icons.svg", include_str!("../../assets/icons.svg")),
        ("theme.js", include_str!("../../assets/theme.js")),
        ("app.js", include_str!("../../assets/app.js")),
        ("passkey.js", include_str!("../../assets/passkey.js")),
        ("follow.js", include_str!("../../assets/follow.js")),
    ];
    files.map(|(plain, content)| Asset::new(plain, content)).into()
});

impl Asset {
    fn new(plain: &'static str, content: &'static str) -> Self {
        let (stem, ending) = plain.rsplit_once('.').unwrap_or((plain, ""));
        let kind = match ending {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        let path = format!("/web/assets/{stem}-{:016x}.{ending}", fingerprint(content.as_bytes()));
        Self { plain, path, kind, content }
    }
}

/// Where a file is; an unknown one is nowhere.
pub(crate) fn path_of(plain: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.plain == plain).map_or("", |asset| asset.path.as_str())
}

/// `GET /web/assets/{name}`: for a year, since another content has another name.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.path.strip_prefix("/web/assets/") == Some(&name));
    let Some(asset) = found else {
        return Refusal::new(Kind::Page, StatusCode::NOT_FOUND, "there is nothing at this address")
            .into_response();
    };
    let headers =
        [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.content).into_response()
}

/// `GET /favicon.ico`, which browsers ask for unasked.
pub(crate) async fn icon() -> Response {
    let headers = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "public, max-age=86400")];
    (headers, include_str!("../../assets/mark.svg")).into_response()
}

/// FNV-1a: tells versions apart, guards nothing.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_an_address_of_its_own() {
        for asset in ASSETS.iter() {
            assert!(!asset.content.is_empty(), "{}", asset.plain);
            assert_eq!(path_of(asset.plain), asset.path);
        }
        assert_eq!(path_of("nothing.js"), "");
    }

    #[test]
    fn a_first_visit_is_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(bytes < 100 * 1024, "{bytes}");
    }
}
