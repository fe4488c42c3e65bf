//! The page that is shown at `/`: files of ours and nothing else, which need no key; what they ask for does.

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;

use super::answer::typed;

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $type:ident, $name:literal) => {
        File {
            path: $path,
            content_type: $type,
            body: include_str!(concat!("../../assets/page/", $name)),
        }
    };
}

/// Scripts import each other by these paths.
static FILES: [File; 12] = [
    file!("/", HTML, "index.html"),
    file!("/page/style.css", CSS, "style.css"),
    file!("/page/icon.svg", SVG, "icon.svg"),
    file!("/page/main.js", JAVASCRIPT, "main.js"),
    file!("/page/api.js", JAVASCRIPT, "api.js"),
    file!("/page/chart.js", JAVASCRIPT, "chart.js"),
    file!("/page/chat.js", JAVASCRIPT, "chat.js"),
    file!("/page/dom.js", JAVASCRIPT, "dom.js"),
    file!("/page/format.js", JAVASCRIPT, "format.js"),
    file!("/page/heat.js", JAVASCRIPT, "heat.js"),
    file!("/page/live.js", JAVASCRIPT, "live.js"),
    file!("/page/store.js", JAVASCRIPT, "store.js"),
];

/// What a browser is told beside each file. Only the page's own files run in it, it speaks only with the server that it came from, no other
/// site may frame it, and text cannot become HTML even by mistake.
const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    // A newer openelm at the same address has newer files.
    ("cache-control", "no-cache"),
];

/// A route for each file.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async || file.response()))
    })
}

/// Whether a path is one of the page's files.
pub fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

impl File {
    fn response(&self) -> Response {
        let mut response = typed(self.content_type, self.body);
        let headers = HEADERS.map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        response.headers_mut().extend(headers);
        response
    }
}
