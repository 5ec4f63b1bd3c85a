//! OpenDocument texts. Headings by their level, paragraphs, list items, tables and notes come out as the finished document
//! shows them: deleted text of tracked changes, annotations and generated tables of contents are not read.

use std::collections::HashMap;

use crate::error::Result;
use crate::ingest::formats::flow::{Ending, Flow};
use crate::ingest::formats::markup::{Node, Tag, is_skipped, walk};
use crate::ingest::formats::package::{Package, declares, fit, locked};
use crate::ingest::formats::relations::element_text;
use crate::ingest::formats::{ExtractLimits, Extracted, Format};

/// OpenDocument text, as LibreOffice writes it.
pub const FORMAT: Format = Format {
    name: "OpenDocument text (odt)",
    extensions: &["odt", "ott"],
    sniff: |bytes| fit(bytes, |_, bytes| declares(bytes, "application/vnd.oasis.opendocument.text")),
    read,
};

/// Elements of which nothing is read.
const SKIPPED: &[&str] = &[
    "tracked-changes",
    "annotation",
    "table-of-content",
    "illustration-index",
    "table-index",
    "alphabetical-index",
    "bibliography",
    "user-index",
    "object-index",
    "note-citation",
    "hidden-text",
    "ruby-text",
    "title",
    "desc",
    "forms",
    "sequence-decls",
    "shapes",
    "script",
    "event-listeners",
];

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut package = Package::open(bytes, limits)?;
    let manifest = package.part("META-INF/manifest.xml")?.unwrap_or_default();
    const LOCK: &[u8] = b"encryption-data";
    if manifest.windows(LOCK.len()).any(|found| found == LOCK) {
        return Err(locked());
    }
    let content = package.needed("content.xml")?;
    let title = element_text(&mut package, "meta.xml", "title", limits)?;
    const PAGE_MARK: &[u8] = b"soft-page-break";
    let has_pages = content.windows(PAGE_MARK.len()).any(|found| found == PAGE_MARK);
    let mut body = Body::new(limits, has_pages);
    walk(&content, limits, |node| body.visit(node))?;
    let (pages, title) = (body.flow.page, title.or_else(|| body.flow.blocks.first_heading()));
    Ok(body.flow.blocks.finish(title, pages))
}

/// A document that is being read.
struct Body {
    flow: Flow,
    /// Styles made for single paragraphs, and the styles they rest on.
    bases: HashMap<String, String>,
    skipped: Option<(String, usize)>,
    is_body: bool,
    /// What each open paragraph is; the innermost last.
    paragraphs: Vec<Ending>,
    /// Whether the item at hand has its mark still to come.
    is_item: bool,
    /// Columns of the open cells; the innermost last.
    spans: Vec<usize>,
    note: Option<String>,
}

impl Body {
    fn new(limits: &ExtractLimits, has_pages: bool) -> Self {
        let mut flow = Flow::new(limits);
        flow.page = has_pages.then_some(1);
        Self {
            flow,
            bases: HashMap::new(),
            skipped: None,
            is_body: false,
            paragraphs: Vec::new(),
            is_item: false,
            spans: Vec::new(),
            note: None,
        }
    }

    fn visit(&mut self, node: Node<'_>) -> Result<()> {
        if is_skipped(&mut self.skipped, &node) {
            return Ok(());
        }
        match node {
            Node::Open(tag) => self.open(&tag),
            Node::Close(name) => self.close(name),
            Node::Text(text) => self.text(text),
        }
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<()> {
        let name = tag.name();
        if self.is_body && SKIPPED.contains(&name) {
            self.skipped = Some((name.to_owned(), 1));
            return Ok(());
        }
        match name {
            "style" => {
                if let (Some(style), Some(base)) = (tag.attribute("name"), tag.attribute("parent-style-name")) {
                    self.bases.insert(style, base);
                }
            }
            "body" => self.is_body = true,
            // A note is one text, however many paragraphs it has.
            "note" => self.note = Some(String::new()),
            "p" | "h" if self.note.is_some() => self.text("\n")?,
            "p" | "h" => self.open_paragraph(tag),
            "list-item" => self.is_item = true,
            "s" => self.text(" ")?,
            "tab" => self.text("\t")?,
            "line-break" => self.text("\n")?,
            "soft-page-break" => self.flow.page = self.flow.page.map(|page| page.saturating_add(1)),
            "table" => self.flow.open_table(),
            "table-row" => self.flow.open_row(),
            "table-cell" | "covered-table-cell" => {
                let columns = tag.attribute("number-columns-repeated").and_then(|columns| columns.parse().ok());
                self.spans.push(columns.unwrap_or(1));
                self.flow.open_cell();
            }
            _ => {}
        }
        Ok(())
    }

    fn open_paragraph(&mut self, tag: &Tag<'_>) {
        let style = tag.attribute("style-name").unwrap_or_default();
        let base = self.bases.get(&style).unwrap_or(&style);
        let level = tag.attribute("outline-level").and_then(|level| level.parse().ok());
        let ending = if tag.name() == "h" {
            Ending::Heading(level.unwrap_or(1))
        } else if base == "Title" {
            Ending::Heading(1)
        } else if std::mem::take(&mut self.is_item) {
            Ending::Item
        } else {
            Ending::Text
        };
        self.paragraphs.push(ending);
        self.flow.open_paragraph();
    }

    fn close(&mut self, name: &str) -> Result<()> {
        match name {
            "note" => self.flow.notes.extend(self.note.take().filter(|note| !note.trim().is_empty())),
            "p" | "h" if self.note.is_none() => {
                if let Some(ending) = self.paragraphs.pop() {
                    self.flow.close_paragraph(ending)?;
                }
            }
            "list-item" => self.is_item = false,
            "table-header-rows" => self.flow.mark_header(),
            "table-cell" | "covered-table-cell" => {
                let span = self.spans.pop().unwrap_or(1);
                self.flow.span(span);
            }
            "table" => self.flow.close_table()?,
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match &mut self.note {
            Some(note) => {
                note.push_str(text);
                Ok(())
            }
            None => self.flow.text(text),
        }
    }
}
