//! `GET /`: the page people use, and what it is made of. All of it is in the binary. The Functions host also asks for `/`
//! to learn whether the process is ready, so the answer is made of nothing else.
//!
//! Everything but the page itself lies under `/assets/` and a hash of all of it: another content has another address, so
//! browsers may keep what they have for ever, and a page never meets the scripts of another version.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::Extension;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::routes::Routes;
use crate::access::Need;
use crate::document::{content_hash, hex};
use crate::error::{Error, ErrorKind};
use crate::host::problem;
use crate::host::server::RequestId;

const PAGE: &str = include_str!("../../web/index.html");
/// What stands in the page for the hash.
const HASH_MARK: &str = "{hash}";

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $type:expr) => {
        ($name, $type, include_bytes!(concat!("../../web/", $name)).as_slice())
    };
}

/// What the page is made of: name, content type, content. A test compares it with the folder.
const ASSETS: &[(&str, &str, &[u8])] = &[
    asset!("answer.js", SCRIPT),
    asset!("api.js", SCRIPT),
    asset!("ask.css", CSS),
    asset!("ask.js", SCRIPT),
    asset!("base.css", CSS),
    asset!("conversations.js", SCRIPT),
    asset!("dialogs.js", SCRIPT),
    asset!("documents.css", CSS),
    asset!("documents.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("icon.svg", SVG),
    asset!("main.js", SCRIPT),
    asset!("markdown.js", SCRIPT),
    asset!("proposal.js", SCRIPT),
    asset!("reader.css", CSS),
    asset!("reader.js", SCRIPT),
    asset!("theme.js", SCRIPT),
    asset!("upload.js", SCRIPT),
    asset!("words.js", SCRIPT),
];

/// The page talks to this server alone, runs nothing but these scripts, and never makes markup from text. Pictures of pages
/// come as blobs, because a request for one may need a key in its head.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
/// Content under a hash never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The page itself is asked for each time, and mostly answered "unchanged".
const ASK_EACH_TIME: &str = "no-cache";

/// A file as it is and as most browsers take it.
struct Packed {
    content_type: &'static str,
    plain: Vec<u8>,
    gzip: Vec<u8>,
}

impl Packed {
    fn new(content_type: &'static str, plain: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip =
            encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("a vector takes all that is written");
        Self { content_type, plain, gzip }
    }

    fn respond(&self, headers: &HeaderMap, caching: &'static str) -> Response {
        let kind = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, caching),
            (header::VARY, "accept-encoding"),
        ];
        if takes_gzip(headers) {
            (kind, [(header::CONTENT_ENCODING, "gzip")], self.gzip.clone()).into_response()
        } else {
            (kind, self.plain.clone()).into_response()
        }
    }
}

/// The hash of all assets, 16 digits of it.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    for (name, _, content) in ASSETS {
        hasher.update(name);
        hasher.update([0]);
        hasher.update(content);
        hasher.update([0]);
    }
    hex(&hasher.finalize())[..16].to_owned()
});

/// The page, and its ETag. Packed at its first use, because a start has to be quick.
static PACKED_PAGE: LazyLock<(Packed, String)> = LazyLock::new(|| {
    let page = PAGE.replace(HASH_MARK, &HASH);
    let etag = format!("\"{}\"", &content_hash(page.as_bytes())[..16]);
    (Packed::new("text/html; charset=utf-8", page.into_bytes()), etag)
});

/// The assets by name.
static PACKED: LazyLock<HashMap<&'static str, Packed>> = LazyLock::new(|| {
    ASSETS.iter().map(|(name, content_type, content)| (*name, Packed::new(content_type, content.to_vec()))).collect()
});

/// The function's routes. Every other address that the catch-all brings is answered as unknown by the router.
pub fn routes() -> Routes {
    Routes::new().get("/", Need::Open, page).get("/assets/{hash}/{name}", Need::Open, asset)
}

async fn page(headers: HeaderMap) -> Response {
    let (packed, etag) = &*PACKED_PAGE;
    let guards: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = [(header::ETAG, etag.as_str())];
    if known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag) {
        return (StatusCode::NOT_MODIFIED, guards, named, [(header::CACHE_CONTROL, ASK_EACH_TIME)]).into_response();
    }
    (guards, named, packed.respond(&headers, ASK_EACH_TIME)).into_response()
}

async fn asset(
    Extension(id): Extension<RequestId>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match PACKED.get(name.as_str()).filter(|_| hash == *HASH) {
        Some(packed) => packed.respond(&headers, FOR_EVER),
        None => problem::respond(&Error::new(ErrorKind::NotFound, "there is nothing at this address"), &id.0),
    }
}

/// Whether a caller says that it takes gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_an_asset_and_every_address_in_the_page_leads_to_one() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .collect();
        let table: BTreeSet<String> = ASSETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(files, table);
        for part in PAGE.split("/assets/{hash}/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(table.contains(name), "{name}");
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
        };
        assert!(takes("gzip, deflate, br") && takes("br;q=1.0, GZIP;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("") && !takes_gzip(&HeaderMap::new()));
    }
}
