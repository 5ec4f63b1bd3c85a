//! XML of no known kind. Elements that hold only text come out as `name: text`, those of one parent together; text with
//! elements in it comes out as a paragraph. Nothing is known of what the elements mean.

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::html;
use crate::ingest::formats::markup::{Node, Tag, walk};
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// Any XML document.
pub const FORMAT: Format = Format { name: "XML", extensions: &["xml", "rss", "atom"], sniff, read };

/// Pieces that are longer than this, together, are paragraphs of their own.
const LONGEST_RECORD_BYTES: usize = 400;

fn sniff(bytes: &[u8]) -> Fit {
    if !text::is_text(bytes) {
        return Fit::No;
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if start.starts_with(b"<?xml") { Fit::Likely } else { Fit::Possible }
}

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut reader = Reader { blocks: Blocks::new(limits), elements: Vec::new(), root: String::new(), title: None };
    walk(bytes, limits, |node| reader.visit(node))?;
    if reader.root == "html" {
        return (html::FORMAT.read)(bytes, limits);
    }
    Ok(reader.blocks.finish(reader.title, None))
}

struct Reader {
    blocks: Blocks,
    /// The open elements, the innermost last.
    elements: Vec<Element>,
    root: String,
    title: Option<String>,
}

/// An open element.
struct Element {
    name: String,
    /// What it holds so far: text under the name of the element it stood in, or its own under none.
    pieces: Vec<(Option<String>, String)>,
    has_elements: bool,
}

impl Reader {
    fn visit(&mut self, node: Node<'_>) -> Result<()> {
        match node {
            Node::Open(tag) => self.open(&tag),
            Node::Close(_) => self.close(),
            Node::Text(text) => {
                let Some(element) = self.elements.last_mut() else { return Ok(()) };
                match element.pieces.last_mut() {
                    Some((None, so_far)) => so_far.push_str(text),
                    _ if text.trim().is_empty() => {}
                    _ => element.pieces.push((None, text.to_owned())),
                }
                Ok(())
            }
        }
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<()> {
        if self.elements.is_empty() {
            tag.name().clone_into(&mut self.root);
        }
        if let Some(parent) = self.elements.last_mut() {
            parent.has_elements = true;
        }
        // The element around the parent is more than a record: what it holds so far comes before the parent.
        if let Some(around) = self.elements.len().checked_sub(2).map(|around| &mut self.elements[around])
            && !is_mixed(&around.pieces)
        {
            let pieces = std::mem::take(&mut around.pieces);
            push(&mut self.blocks, &pieces)?;
        }
        let meaningful =
            |name: &String| !name.starts_with("xmlns") && !name.starts_with("xsi:") && !name.starts_with("xml:");
        let pieces = tag.attributes().filter(|(name, _)| meaningful(name)).map(|(name, value)| (Some(name), value));
        self.elements.push(Element { name: tag.name().to_owned(), pieces: pieces.collect(), has_elements: false });
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(element) = self.elements.pop() else { return Ok(()) };
        let is_mixed = is_mixed(&element.pieces);
        if element.has_elements && !is_mixed {
            return push(&mut self.blocks, &element.pieces);
        }
        let text = match element.pieces.as_slice() {
            [] => return Ok(()),
            [(None, text)] => text.clone(),
            pieces if element.has_elements => {
                pieces.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
            }
            // Text with attributes: `40 (unit: m)`; attributes alone are what an element without text says.
            [attributes @ .., (None, text)] => format!("{} ({})", text.trim(), describe(attributes)),
            attributes => describe(attributes),
        };
        if element.name == "title" {
            self.title.get_or_insert_with(|| text.clone());
        }
        match self.elements.last_mut() {
            Some(parent) => parent.pieces.push((Some(element.name), text)),
            None => self.blocks.push(BlockKind::Paragraph, &text, None)?,
        }
        Ok(())
    }
}

/// Whether an element has text of its own beside elements.
fn is_mixed(pieces: &[(Option<String>, String)]) -> bool {
    pieces.iter().any(|(name, text)| name.is_none() && !text.trim().is_empty())
}

fn push(blocks: &mut Blocks, pieces: &[(Option<String>, String)]) -> Result<()> {
    if pieces.iter().map(|(_, text)| text.len()).sum::<usize>() <= LONGEST_RECORD_BYTES {
        return blocks.push(BlockKind::Paragraph, &describe(pieces), None);
    }
    pieces.iter().try_for_each(|piece| blocks.push(BlockKind::Paragraph, &describe(std::slice::from_ref(piece)), None))
}

/// Pieces as one line: `name: Rope; price: 1.50`.
fn describe(pieces: &[(Option<String>, String)]) -> String {
    let said = pieces.iter().filter(|(_, text)| !text.trim().is_empty());
    let one = said.map(|(name, text)| match name {
        Some(name) => format!("{name}: {}", text.trim()),
        None => text.trim().to_owned(),
    });
    one.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_records_together_and_prose_whole() {
        let source = br#"<?xml version="1.0"?><book xmlns="urn:x"><title>Ropes</title>
            <part id="5"><name>Rope</name><price unit="EUR">1.50</price></part>
            <para>Never <b>cut</b> &amp; knot.</para></book>"#;
        let found = read(source, &ExtractLimits::new(1, 1000)).unwrap();
        let texts: Vec<&str> = found.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["title: Ropes", "id: 5; name: Rope; price: 1.50 (unit: EUR)", "para: Never cut & knot."]);
        assert_eq!(found.title.as_deref(), Some("Ropes"));
    }
}
