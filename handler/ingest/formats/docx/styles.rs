//! What the styles of a Word document make of a paragraph. Ids of styles change with the language of the program that wrote
//! them; names of the built-in ones do not.

use std::collections::HashMap;

use crate::error::Result;
use crate::ingest::formats::ExtractLimits;
use crate::ingest::formats::markup::{Node, walk};

/// A style may rest on another one, this many times.
const MOST_BASES: usize = 16;

/// The styles of a document by their ids.
#[derive(Default)]
pub struct Styles {
    styles: HashMap<String, Style>,
}

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    is_item: bool,
}

/// What a style makes of a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A heading of this level.
    Heading(u8),
    /// The title of the document.
    Title,
    /// A line of a table of contents.
    Contents,
    /// An item of a list.
    Item,
    /// Anything else.
    Text,
}

impl Styles {
    /// Reads the part that holds the styles.
    pub fn read(part: &[u8], limits: &ExtractLimits) -> Result<Self> {
        let mut styles = HashMap::new();
        let mut at_hand: Option<(String, Style)> = None;
        walk(part, limits, |node| {
            match node {
                Node::Open(tag) if tag.name() == "style" => {
                    at_hand = tag.attribute("styleId").map(|id| (id, Style::default()));
                }
                Node::Open(tag) => {
                    let Some((_, style)) = &mut at_hand else { return Ok(()) };
                    let value = tag.attribute("val");
                    match tag.name() {
                        "name" => style.name = value.unwrap_or_default().to_lowercase(),
                        "numPr" => style.is_item = true,
                        "basedOn" => style.based_on = value,
                        "outlineLvl" => style.outline = value.and_then(|level| level.parse().ok()),
                        _ => {}
                    }
                }
                Node::Close("style") => styles.extend(at_hand.take()),
                Node::Close(_) | Node::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(Self { styles })
    }

    /// The role of a style: its own, else that of the nearest style it rests on.
    pub fn role(&self, id: &str) -> Role {
        let mut next = Some(id);
        for _ in 0..MOST_BASES {
            let Some(id) = next else { break };
            let Some(style) = self.styles.get(id) else {
                // A document without a list of styles still uses the usual ids.
                return role_of_name(&id.to_lowercase()).unwrap_or(Role::Text);
            };
            if let Some(role) = role_of_name(&style.name) {
                return role;
            }
            if let Some(level) = style.outline.filter(|level| *level < 9) {
                return Role::Heading(level + 1);
            }
            if style.is_item {
                return Role::Item;
            }
            next = style.based_on.as_deref();
        }
        Role::Text
    }
}

fn role_of_name(name: &str) -> Option<Role> {
    if name == "title" {
        return Some(Role::Title);
    }
    let level =
        |start: &str| name.strip_prefix(start)?.trim().parse::<u8>().ok().filter(|level| (1..=9).contains(level));
    level("toc").map(|_| Role::Contents).or_else(|| level("heading").map(Role::Heading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_headings_by_name_level_and_base() {
        let part = br#"<styles xmlns:w="w">
            <w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
            <w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="berschrift1"/></w:style>
            <w:style w:styleId="Lvl"><w:name w:val="Chapter"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
            <w:style w:styleId="Verzeichnis1"><w:name w:val="toc 1"/></w:style>
            <w:style w:styleId="Dots"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="8"/></w:numPr></w:pPr></w:style>
            <w:style w:styleId="Loop"><w:name w:val="x"/><w:basedOn w:val="Loop"/></w:style></styles>"#;
        let styles = Styles::read(part, &ExtractLimits::new(1, 100)).unwrap();
        let roles = ["berschrift1", "Mine", "Lvl", "Verzeichnis1", "Loop", "Heading3", "Title", "Dots"];
        let expected = [
            Role::Heading(1),
            Role::Heading(1),
            Role::Heading(2),
            Role::Contents,
            Role::Text,
            Role::Heading(3),
            Role::Title,
            Role::Item,
        ];
        assert_eq!(roles.map(|id| styles.role(id)), expected);
    }
}
