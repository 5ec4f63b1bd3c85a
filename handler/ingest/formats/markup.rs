//! XML as a flat stream: tags open, text comes, tags close. Nesting is counted, references to entities other than the five
//! that XML itself knows say nothing, and no document type is believed, so that nothing unfolds.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::Result;
use crate::ingest::formats::package::{damaged, over};
use crate::ingest::formats::{ExtractLimits, text};

/// More attributes than these are not looked at.
const MOST_ATTRIBUTES: usize = 256;

/// One step through a document.
pub enum Node<'x> {
    /// An element begins. An empty element begins and ends.
    Open(Tag<'x>),
    /// The element of this local name ends.
    Close(&'x str),
    /// Text, with character references resolved. Neighbouring text may come in several pieces.
    Text(&'x str),
}

/// Whether a node lies in an element that is left out. `skipped` holds that element's name and how many of that name are
/// open; it is emptied when the outermost of them ends.
pub fn is_skipped(skipped: &mut Option<(String, usize)>, node: &Node<'_>) -> bool {
    let Some((name, depth)) = skipped else { return false };
    match node {
        Node::Open(tag) => *depth += usize::from(tag.name() == name),
        Node::Close(closed) => *depth -= usize::from(closed == name),
        Node::Text(_) => {}
    }
    if *depth == 0 {
        *skipped = None;
    }
    true
}

/// The beginning of an element.
pub struct Tag<'x> {
    start: BytesStart<'x>,
}

impl Tag<'_> {
    /// The name without its prefix.
    pub fn name(&self) -> &str {
        local(self.start.name().0)
    }

    /// The value of the attribute with this local name.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().find(|(found, _)| local(found) == name).map(|(_, value)| value)
    }

    /// All attributes with their prefixes, and their values.
    pub fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let mut attributes = self.start.attributes();
        attributes.with_checks(false);
        attributes.take(MOST_ATTRIBUTES).flatten().map(|attribute| {
            let value = quick_xml::escape::unescape(&attribute.value).unwrap_or_default().into_owned();
            (attribute.key.0.to_owned(), value)
        })
    }
}

/// Walks through an XML document, in whatever encoding it declares, and shows each step to `visit`.
pub fn walk(bytes: &[u8], limits: &ExtractLimits, mut visit: impl FnMut(Node<'_>) -> Result<()>) -> Result<()> {
    let source = text::decode_labelled(bytes, declared_encoding(bytes))?;
    let mut reader = Reader::from_str(&source);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.allow_dangling_amp = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(|error| damaged("its XML").caused_by(error))? {
            Event::Start(start) => {
                depth += 1;
                if depth > limits.max_nesting {
                    return Err(over(format!("its XML nests deeper than {} elements", limits.max_nesting)));
                }
                visit(Node::Open(Tag { start }))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                visit(Node::Close(local(end.name().0)))?;
            }
            Event::Text(text) => visit(Node::Text(&text.into_inner()))?,
            Event::CData(text) => visit(Node::Text(&text.into_inner()))?,
            Event::GeneralRef(reference) => {
                if let Some(c) = resolve(&reference) {
                    visit(Node::Text(c.encode_utf8(&mut [0; 4])))?;
                }
            }
            Event::Eof if depth > 0 => return Err(damaged("the end of its XML")),
            Event::Eof => return Ok(()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// A name without its prefix.
pub fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The character that a reference stands for. Entities of the document's own are never looked up.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => Some(c),
        Ok(None) => quick_xml::escape::resolve_predefined_entity(reference).and_then(|found| found.chars().next()),
        Err(_) => None,
    }
}

/// The encoding in the XML declaration. Whatever is in UTF-16 has a byte order mark, which is believed first.
fn declared_encoding(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    const DECLARATION_BYTES: usize = 200;
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]).into_owned();
    let declaration = head.strip_prefix("<?xml")?.split("?>").next()?;
    let (_, after) = declaration.split_once("encoding=")?;
    let label = after.trim_start_matches(['"', '\'']).split(['"', '\'']).next()?;
    encoding_rs::Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding == encoding.output_encoding())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn steps(source: &[u8]) -> Result<String> {
        let mut out = String::new();
        let limits = ExtractLimits { max_nesting: 4, ..ExtractLimits::new(1, 1000) };
        walk(source, &limits, |node| {
            match node {
                Node::Open(tag) => out.push_str(&format!("<{}{:?}>", tag.name(), tag.attribute("a"))),
                Node::Close(name) => out.push_str(&format!("</{name}>")),
                Node::Text(text) => out.push_str(text),
            }
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn flattens_and_resolves_only_what_xml_knows() {
        let bomb = br#"<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>
            <x:r x:a="1 &lt; 2">&b;&c;&#65;&amp;<![CDATA[<b>]]></x:r>"#;
        assert_eq!(steps(bomb).unwrap().trim(), "<rSome(\"1 < 2\")>A&<b></r>");
        assert_eq!(steps(b"<?xml version='1.0' encoding='iso-8859-1'?><r>\xfc</r>").unwrap(), "<rNone>\u{fc}</r>");
    }

    #[test]
    fn refuses_depth_and_damage() {
        let error = steps(b"<a><a><a><a><a>").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentOverLimit);
        for broken in [b"<a><b></a>".as_slice(), b"<a>", b"<a", b"<a><!-- "] {
            assert_eq!(steps(broken).unwrap_err().kind(), ErrorKind::DocumentDamaged);
        }
    }
}
