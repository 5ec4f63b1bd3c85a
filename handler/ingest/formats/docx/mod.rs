//! Word documents. The parts of the package come in; headings by style or outline level, paragraphs, list items, tables and
//! footnotes go out, as the finished document shows them: what a tracked change deleted is not read, what it inserted is.
//! Headers, footers and comments are not read.

mod notes;
mod styles;

use crate::error::Result;
use crate::ingest::formats::docx::notes::{Notes, read_notes};
use crate::ingest::formats::docx::styles::{Role, Styles};
use crate::ingest::formats::flow::{Ending, Flow};
use crate::ingest::formats::markup::{Node, Tag, is_skipped, walk};
use crate::ingest::formats::package::{Package, fit};
use crate::ingest::formats::relations::{core_title, main_part, relations};
use crate::ingest::formats::{ExtractLimits, Extracted, Format};

/// Word, since 2007.
pub const FORMAT: Format = Format {
    name: "Word (docx)",
    extensions: &["docx", "docm", "dotx", "dotm"],
    sniff: |bytes| fit(bytes, |names, _| names.iter().any(|name| name.starts_with("word/"))),
    read,
};

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut package = Package::open(bytes, limits)?;
    let main = main_part(&mut package, "word/document.xml", limits)?;
    let related = relations(&mut package, &main, limits)?;
    let mut part = |kind: &str| -> Result<Option<Vec<u8>>> {
        let found = related.iter().find(|relation| relation.kind == kind);
        found.map_or(Ok(None), |relation| package.part(&relation.target))
    };
    let styles = part("styles")?.map_or(Ok(Styles::default()), |part| Styles::read(&part, limits))?;
    let mut notes = Notes::new();
    for kind in ["footnotes", "endnotes"] {
        if let Some(part) = part(kind)? {
            read_notes(&part, limits, &mut notes)?;
        }
    }
    let document = package.needed(&main)?;
    let title = core_title(&mut package, limits)?;
    // Word leaves marks where its pages broke when it last showed them; other writers leave none, and then there are no pages.
    const PAGE_MARK: &[u8] = b"lastRenderedPageBreak";
    let has_pages = document.windows(PAGE_MARK.len()).any(|found| found == PAGE_MARK);
    let mut body = Body::new(limits, styles, notes, has_pages);
    walk(&document, limits, |node| body.visit(node))?;
    let pages = body.flow.page;
    let title = title.or(body.title).or_else(|| body.flow.blocks.first_heading());
    Ok(body.flow.blocks.finish(title, pages))
}

/// Elements of which nothing is read: deleted and moved text, instructions of fields, earlier formatting, and the second
/// form that text boxes are kept in for old programs.
const SKIPPED: &[&str] = &[
    "del",
    "moveFrom",
    "delText",
    "instrText",
    "delInstrText",
    "Fallback",
    "pPrChange",
    "rPrChange",
    "tblPrChange",
    "trPrChange",
    "tcPrChange",
    "sectPrChange",
    "tblGridChange",
    "numberingChange",
    "object",
];

/// A document that is being read.
struct Body {
    flow: Flow,
    styles: Styles,
    notes: Notes,
    title: Option<String>,
    has_pages: bool,
    /// The element that is skipped, and how many of that name are open.
    skipped: Option<(String, usize)>,
    /// What is known of each open paragraph; the innermost last.
    paragraphs: Vec<Properties>,
    /// How many columns each open cell spans; the innermost last.
    spans: Vec<usize>,
    run: Option<Run>,
    is_in_row_properties: bool,
    is_row_deleted: bool,
}

/// What is known of a paragraph before it ends.
#[derive(Default)]
struct Properties {
    style: Option<String>,
    outline: Option<u8>,
    /// Whether it is in a list, where it says so itself.
    is_item: Option<bool>,
    text: String,
}

/// A run of text in one look.
#[derive(Default)]
struct Run {
    is_hidden: bool,
    is_text: bool,
}

impl Body {
    fn new(limits: &ExtractLimits, styles: Styles, notes: Notes, has_pages: bool) -> Self {
        let mut flow = Flow::new(limits);
        flow.page = has_pages.then_some(1);
        Self {
            flow,
            styles,
            notes,
            title: None,
            has_pages,
            skipped: None,
            paragraphs: Vec::new(),
            spans: Vec::new(),
            run: None,
            is_in_row_properties: false,
            is_row_deleted: false,
        }
    }

    fn visit(&mut self, node: Node<'_>) -> Result<()> {
        if is_skipped(&mut self.skipped, &node) {
            return Ok(());
        }
        match node {
            Node::Open(tag) => self.open(&tag),
            Node::Close(name) => self.close(name),
            Node::Text(text) => match &self.run {
                Some(Run { is_hidden: false, is_text: true }) => self.text(text),
                _ => Ok(()),
            },
        }
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<()> {
        let name = tag.name();
        if SKIPPED.contains(&name) {
            self.is_row_deleted |= name == "del" && self.is_in_row_properties;
            self.skipped = Some((name.to_owned(), 1));
            return Ok(());
        }
        match name {
            "p" => {
                self.paragraphs.push(Properties::default());
                self.flow.open_paragraph();
                self.run = None;
            }
            "r" => self.run = Some(Run::default()),
            "t" => self.with_run(|run| run.is_text = true),
            "vanish" if is_on(tag) => self.with_run(|run| run.is_hidden = true),
            "tab" | "br" | "cr" | "noBreakHyphen" | "lastRenderedPageBreak" => self.sign(name)?,
            "footnoteReference" | "endnoteReference" => self.note(tag),
            "tbl" => self.flow.open_table(),
            "tr" => {
                self.is_row_deleted = false;
                self.flow.open_row();
            }
            "trPr" => self.is_in_row_properties = true,
            "tc" => {
                self.spans.push(1);
                self.flow.open_cell();
            }
            _ => self.property(name, tag),
        }
        Ok(())
    }

    /// Properties of paragraphs, cells and tables.
    fn property(&mut self, name: &str, tag: &Tag<'_>) {
        let value = || tag.attribute("val");
        match name {
            "gridSpan" => {
                if let Some(span) = self.spans.last_mut() {
                    *span = value().and_then(|span| span.parse().ok()).unwrap_or(1);
                }
            }
            "vMerge" if value().is_none_or(|value| value == "continue") => self.flow.repeat_above(),
            "tblHeader" if is_on(tag) => self.flow.mark_header(),
            "tblLook" => {
                let bits = value().and_then(|value| u32::from_str_radix(&value, 16).ok()).unwrap_or(0);
                const FIRST_ROW: u32 = 0x20;
                if tag.attribute("firstRow").map_or(bits & FIRST_ROW != 0, |first| first == "1") {
                    self.flow.mark_header();
                }
            }
            "pStyle" | "outlineLvl" | "numPr" | "numId" if self.run.is_none() => {
                let Some(paragraph) = self.paragraphs.last_mut() else { return };
                match name {
                    "pStyle" => paragraph.style = value(),
                    "outlineLvl" => paragraph.outline = value().and_then(|level| level.parse().ok()),
                    "numPr" => paragraph.is_item = Some(true),
                    // The list with number 0 is none: it takes a paragraph out of the list of its style.
                    _ => paragraph.is_item = Some(value().is_none_or(|id| id != "0")),
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) -> Result<()> {
        match name {
            "p" => self.close_paragraph()?,
            "r" => self.run = None,
            "t" => self.with_run(|run| run.is_text = false),
            "trPr" => self.is_in_row_properties = false,
            "tc" => {
                let span = self.spans.pop().unwrap_or(1);
                self.flow.span(span);
            }
            "tr" if self.is_row_deleted => {
                self.is_row_deleted = false;
                self.flow.drop_row();
            }
            "tbl" => self.flow.close_table()?,
            _ => {}
        }
        Ok(())
    }

    fn close_paragraph(&mut self) -> Result<()> {
        self.run = None;
        let Some(paragraph) = self.paragraphs.pop() else { return Ok(()) };
        let role = self.styles.role(paragraph.style.as_deref().unwrap_or_default());
        let ending = match (role, paragraph.outline) {
            (Role::Contents, _) => Ending::Dropped,
            (Role::Title, _) => {
                self.title.get_or_insert(paragraph.text);
                Ending::Heading(1)
            }
            (_, Some(level)) if level < 9 => Ending::Heading(level + 1),
            (Role::Heading(level), None) => Ending::Heading(level),
            (role, None | Some(_)) if paragraph.is_item.unwrap_or(role == Role::Item) => Ending::Item,
            _ => Ending::Text,
        };
        self.flow.close_paragraph(ending)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        const LONGEST_TITLE: usize = 500;
        if let Some(paragraph) = self.paragraphs.last_mut().filter(|paragraph| paragraph.text.len() < LONGEST_TITLE) {
            paragraph.text.push_str(text);
        }
        self.flow.text(text)
    }

    /// What stands for a sign, inside of a run; elsewhere a tab is a tab stop.
    fn sign(&mut self, name: &str) -> Result<()> {
        if !matches!(self.run, Some(Run { is_hidden: false, .. })) {
            return Ok(());
        }
        match name {
            "tab" => self.text("\t"),
            "noBreakHyphen" => self.text("-"),
            "lastRenderedPageBreak" => {
                self.flow.page = self.has_pages.then(|| self.flow.page.unwrap_or(1).saturating_add(1));
                Ok(())
            }
            _ => self.text("\n"),
        }
    }

    fn note(&mut self, tag: &Tag<'_>) {
        let kind = tag.name().trim_end_matches("Reference").to_owned();
        // Removed, so that a note that is named a thousand times is read once.
        if let Some(note) = tag.attribute("id").and_then(|id| self.notes.remove(&(kind, id))) {
            self.flow.notes.push(note);
        }
    }

    fn with_run(&mut self, change: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.run {
            change(run);
        }
    }
}

/// Whether a property that can be on or off is on.
fn is_on(tag: &Tag<'_>) -> bool {
    !tag.attribute("val").is_some_and(|value| matches!(value.as_str(), "0" | "false" | "off"))
}
