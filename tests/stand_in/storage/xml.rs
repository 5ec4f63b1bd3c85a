//! Just enough XML for the lists that the storage services send: flat elements without attributes of interest.

use percent_encoding::percent_decode_str;

/// The bodies of every element `name`, in order, still escaped. Elements of one name are never nested in these lists.
pub fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&open) {
        rest = &rest[start + open.len()..];
        // `<Name` must not be taken for `<NameSpace`, and `<Name/>` is empty.
        if !rest.starts_with(['>', ' ', '/']) {
            continue;
        }
        let Some(end_of_tag) = rest.find('>') else { break };
        if rest[..end_of_tag].ends_with('/') {
            found.push("");
            continue;
        }
        let Some(end) = rest.find(&close) else { break };
        found.push(&rest[end_of_tag + 1..end]);
        rest = &rest[end + close.len()..];
    }
    found
}

/// The text of the first element `name`, unescaped.
pub fn text(within: &str, name: &str) -> Option<String> {
    let body = unescape(elements(within, name).first()?);
    // A blob name that XML cannot hold comes percent-encoded and marked.
    if within.contains(&format!("<{name} Encoded=\"true\">")) {
        return Some(percent_decode_str(&body).decode_utf8_lossy().into_owned());
    }
    Some(body)
}

/// Text made fit to stand in an element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let Some(end) = rest.find(';') else { break };
        let entity = &rest[..end];
        let numbered = entity.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let numbered = numbered.or_else(|| entity.strip_prefix('#').map(str::parse));
        match (entity, numbered) {
            ("amp", _) => plain.push('&'),
            ("lt", _) => plain.push('<'),
            ("gt", _) => plain.push('>'),
            ("quot", _) => plain.push('"'),
            ("apos", _) => plain.push('\''),
            (_, Some(Ok(code))) => plain.extend(char::from_u32(code)),
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart() {
        let list = "<Blobs><Blob><Name>a &amp; b&#x20;&#252;.txt</Name><Properties><Etag>0x1</Etag></Properties></Blob>\
            <Blob><Name>c</Name></Blob></Blobs><NextMarker/>";
        let blobs = elements(list, "Blob");
        assert_eq!(blobs.len(), 2);
        assert_eq!(text(blobs[0], "Name").as_deref(), Some("a & b ü.txt"));
        assert_eq!(text(blobs[0], "Etag").as_deref(), Some("0x1"));
        assert_eq!(text(list, "NextMarker").as_deref(), Some(""));
        assert_eq!(text(blobs[1], "Etag"), None);
        assert_eq!(unescape(&escape("<&>")), "<&>");
    }
}
