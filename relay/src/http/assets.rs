//! The page and its files, carried in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// Path below `/` and content of every file in `web/`.
static FILES: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    include!(concat!(env!("OUT_DIR"), "/web_files.rs"))
        .into_iter()
        .map(Asset::new)
        .collect()
});

struct Asset {
    path: &'static str,
    content: &'static [u8],
    kind: &'static str,
    etag: String,
}

impl Asset {
    fn new((path, content): (&'static str, &'static [u8])) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self {
            path,
            content,
            kind: content_type(path),
            etag: format!("\"{:016x}\"", hasher.finish()),
        }
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A file of the page, or 404. Browsers keep files but ask each time whether they have changed.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(asset) = FILES.iter().find(|asset| asset.path == path) else {
        return super::sorry(
            StatusCode::NOT_FOUND,
            format!("Nothing is at {}. The page is at /.", uri.path()),
        );
    };
    let caching = [
        (header::ETAG, asset.etag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == asset.etag));
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, asset.kind)], asset.content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_every_file_has_a_known_type() {
        assert!(FILES.iter().any(|asset| asset.path == "index.html"));
        for asset in FILES.iter() {
            assert_ne!(asset.kind, "application/octet-stream", "{}", asset.path);
        }
    }
}
