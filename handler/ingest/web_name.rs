//! What a document from the web is called: host and path of its address, made into a name that documents may have, with an
//! extension that says what it is. Enters: the address and the content type. Leaves: a name, or what is wrong.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::document::{DocumentName, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::{FORMATS, supported};

/// Longest part of a name, in bytes, so that every file system takes it with an extension.
const MAX_PART_BYTES: usize = 180;

/// Content types and the extensions that say the same; the first is given to names that have none of them.
const TYPES: &[(&str, &[&str])] = &[
    ("text/html", &["html", "htm", "xhtml"]),
    ("application/xhtml+xml", &["html", "htm", "xhtml"]),
    ("application/pdf", &["pdf"]),
    ("text/markdown", &["md", "markdown"]),
    ("text/csv", &["csv"]),
    ("application/json", &["json"]),
    ("application/x-ndjson", &["jsonl", "ndjson"]),
    ("application/jsonl", &["jsonl", "ndjson"]),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"]),
];
/// Types that servers give to whatever they have no type for; an extension that we know says more.
const VAGUE: &[&str] = &["", "text/plain", "application/octet-stream", "binary/octet-stream"];

/// The name for what was found at an address.
pub fn of(url: &Url, content_type: &str) -> Result<DocumentName> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut parts = vec![url.host_str().unwrap_or_default().trim_matches(['[', ']', '.']).replace(':', "_")];
    parts.extend(url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).map(part_of));
    if parts.len() == 1 {
        parts.push("index".to_owned());
    }
    let last = parts.pop().unwrap_or_default();
    parts.push(with_extension(&with_query(&last, url.query()), &essence)?);
    DocumentName::parse(&parts.join("/"))
}

/// A part of the path without what names may not hold. A first dot or tilde would hide the document.
fn part_of(raw: &str) -> String {
    let decoded = percent_decode_str(raw).decode_utf8_lossy();
    let safe: String =
        decoded.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let safe = if safe.starts_with(['.', '~']) { format!("_{safe}") } else { safe };
    cut(&safe, MAX_PART_BYTES).to_owned()
}

/// Addresses that differ in their query alone are different documents. The query itself may hold secrets.
fn with_query(part: &str, query: Option<&str>) -> String {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return part.to_owned() };
    let mark = &content_hash(query.as_bytes())[..8];
    match part.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, extension)) => format!("{stem}-{mark}.{extension}"),
        None => format!("{part}-{mark}"),
    }
}

fn with_extension(part: &str, essence: &str) -> Result<String> {
    let extension = part.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let is_known = FORMATS.iter().any(|format| format.extensions.contains(&extension.as_str()));
    let typed = TYPES.iter().find(|(name, _)| *name == essence).map(|(_, extensions)| *extensions);
    match typed {
        Some(extensions) if extensions.contains(&extension.as_str()) => Ok(part.to_owned()),
        Some(extensions) => Ok(format!("{part}.{}", extensions[0])),
        None if is_known && (VAGUE.contains(&essence) || essence.starts_with("text/")) => Ok(part.to_owned()),
        None if essence.starts_with("text/") => Ok(format!("{part}.txt")),
        None => {
            let sentence =
                format!("what the address leads to is of no kind that can be read; readable are {}", supported());
            Err(Error::new(ErrorKind::DocumentUnsupported, sentence))
        }
    }
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, content_type: &str, expected: &str) {
        let name = of(&Url::parse(url).expect("a test's address"), content_type).expect("a readable kind");
        assert_eq!(name.as_str(), expected);
    }

    #[test]
    fn host_and_path_are_the_name() {
        check("https://example.com/", "text/html; charset=utf-8", "example.com/index.html");
        check("https://Example.com/docs//guide", "TEXT/HTML", "example.com/docs/guide.html");
        check("https://example.com/report.pdf", "application/pdf", "example.com/report.pdf");
        check("https://example.com/report.pdf#page=3", "application/octet-stream", "example.com/report.pdf");
        check("https://example.com/README.md", "text/plain", "example.com/README.md");
        check("https://example.com/data", "text/x-unknown", "example.com/data.txt");
        check("https://[2606:4700::1111]/a", "text/plain", "2606_4700__1111/a.txt");
    }

    #[test]
    fn a_type_that_contradicts_the_extension_is_added() {
        check("https://example.com/report.pdf", "text/html", "example.com/report.pdf.html");
        check("https://example.com/page.php", "text/html", "example.com/page.php.html");
    }

    #[test]
    fn queries_make_different_documents_and_are_not_shown() {
        let name = |query: &str| of(&Url::parse(&format!("https://a.test/x.html?{query}")).expect("good"), "text/html");
        let (one, two) = (name("id=1").expect("good"), name("id=2&token=s3cret").expect("good"));
        assert_ne!(one, two);
        assert!(!two.as_str().contains("s3cret") && two.as_str().ends_with(".html"), "{two}");
    }

    #[test]
    fn no_path_makes_a_name_that_leads_elsewhere_or_hides() {
        check("https://a.test/%2e%2e/%2e%2e/etc/passwd", "text/plain", "a.test/etc/passwd.txt");
        check("https://a.test/..%2f..%2fup.txt", "text/plain", "a.test/_.._.._up.txt");
        check("https://a.test/.git/config", "text/plain", "a.test/_.git/config.txt");
        check("https://a.test/.kw-meta/x.txt", "text/plain", "a.test/_.kw-meta/x.txt");
        check("https://a.test/~me/a%00b%0ac.txt", "text/plain", "a.test/_~me/a_b_c.txt");
        let long = format!("https://a.test/{}.pdf", "%C3%BC".repeat(300));
        assert!(of(&Url::parse(&long).expect("good"), "application/pdf").expect("good").file_name().len() < 255);
        let deep = format!("https://a.test/{}", "long-part/".repeat(200));
        assert_eq!(
            of(&Url::parse(&deep).expect("good"), "text/html").expect_err("long").kind(),
            ErrorKind::InvalidName
        );
    }

    #[test]
    fn what_nobody_reads_is_refused() {
        for (path, content_type) in
            [("a.zip", "application/zip"), ("a.png", "image/png"), ("a", ""), ("a.pdf", "image/png")]
        {
            let url = Url::parse(&format!("https://a.test/{path}")).expect("good");
            assert_eq!(of(&url, content_type).expect_err(path).kind(), ErrorKind::DocumentUnsupported, "{path}");
        }
    }
}
