//! PowerPoint presentations. Slides come in the order in which they are shown, each a page: its title as a heading, then
//! its text and tables, then the text of its diagrams, then the speaker's notes. Dates, footers and numbers are dropped.

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::markup::{Node, Tag, walk};
use crate::ingest::formats::package::{Package, fit, over};
use crate::ingest::formats::relations::{Relation, core_title, main_part, relations};
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Format, table};

/// PowerPoint, since 2007.
pub const FORMAT: Format = Format {
    name: "PowerPoint (pptx)",
    extensions: &["pptx", "pptm", "ppsx", "ppsm", "potx"],
    sniff: |bytes| fit(bytes, |names, _| names.iter().any(|name| name.starts_with("ppt/"))),
    read,
};

/// The title that the program gives to a presentation without one.
const NO_TITLE: &str = "PowerPoint Presentation";

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut package = Package::open(bytes, limits)?;
    let main = main_part(&mut package, "ppt/presentation.xml", limits)?;
    let slides = slides(&mut package, &main, limits)?;
    let pages = u32::try_from(slides.len()).unwrap_or(u32::MAX);
    if pages > limits.max_pages {
        return Err(over(format!("it has {pages} slides; {} are allowed", limits.max_pages)));
    }
    let mut blocks = Blocks::new(limits);
    for (slide, number) in slides.iter().zip(1..) {
        let related = relations(&mut package, slide, limits)?;
        let Some(part) = package.part(slide)? else { continue };
        Slide::read(&part, limits)?.push(&mut blocks, number)?;
        for relation in related.iter().filter(|relation| relation.kind == "diagramData") {
            let Some(part) = package.part(&relation.target)? else { continue };
            Slide::read(&part, limits)?.push(&mut blocks, number)?;
        }
        push_notes(&mut package, &related, limits, &mut blocks, number)?;
    }
    let title = core_title(&mut package, limits)?.filter(|title| title.trim() != NO_TITLE);
    let title = title.or_else(|| blocks.first_heading());
    Ok(blocks.finish(title, Some(pages)))
}

/// The parts of all slides, in the order of the presentation.
fn slides(package: &mut Package<'_>, main: &str, limits: &ExtractLimits) -> Result<Vec<String>> {
    let related = relations(package, main, limits)?;
    let mut slides = Vec::new();
    walk(&package.needed(main)?, limits, |node| {
        if let Node::Open(tag) = node
            && tag.name() == "sldId"
        {
            // The tag has an id of its own, too; the relation is the one with a prefix.
            let id = tag.attributes().find(|(name, _)| name.ends_with(":id")).map(|(_, id)| id);
            let target = related.iter().find(|relation| Some(&relation.id) == id.as_ref());
            slides.extend(target.map(|relation| relation.target.clone()));
        }
        Ok(())
    })?;
    Ok(slides)
}

/// What the speaker says to a slide.
fn push_notes(
    package: &mut Package<'_>,
    related: &[Relation],
    limits: &ExtractLimits,
    blocks: &mut Blocks,
    number: u32,
) -> Result<()> {
    let Some(notes) = related.iter().find(|relation| relation.kind == "notesSlide") else { return Ok(()) };
    let Some(part) = package.part(&notes.target)? else { return Ok(()) };
    let notes = Slide::read(&part, limits)?;
    let text: Vec<&str> =
        notes.texts.iter().filter_map(|(place, text)| (*place == Holder::Body).then_some(text.as_str())).collect();
    if text.is_empty() {
        return Ok(());
    }
    blocks.push(BlockKind::Paragraph, &format!("Notes: {}", text.join("\n")), Some(number))
}

/// What a shape holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Title,
    /// The points of a slide, or the notes to one.
    Body,
    Other,
    /// Date, footer, number.
    Dropped,
}

/// A slide that is being read.
struct Slide {
    texts: Vec<(Holder, String)>,
    tables: Vec<Vec<Vec<String>>>,
    holder: Holder,
    paragraph: String,
    is_text: bool,
    is_in_table: bool,
    fallbacks: usize,
}

impl Slide {
    fn read(part: &[u8], limits: &ExtractLimits) -> Result<Self> {
        let mut slide = Self {
            texts: Vec::new(),
            tables: Vec::new(),
            holder: Holder::Other,
            paragraph: String::new(),
            is_text: false,
            is_in_table: false,
            fallbacks: 0,
        };
        walk(part, limits, |node| {
            slide.visit(node);
            Ok(())
        })?;
        Ok(slide)
    }

    fn visit(&mut self, node: Node<'_>) {
        match node {
            // The second form of a shape, for old programs, says the same again.
            Node::Open(tag) if tag.name() == "Fallback" => self.fallbacks += 1,
            Node::Close("Fallback") => self.fallbacks = self.fallbacks.saturating_sub(1),
            _ if self.fallbacks > 0 => {}
            Node::Open(tag) => self.open(&tag),
            Node::Close(name) => self.close(name),
            Node::Text(text) if self.is_text => self.paragraph.push_str(text),
            Node::Text(_) => {}
        }
    }

    fn open(&mut self, tag: &Tag<'_>) {
        match tag.name() {
            "sp" | "graphicFrame" => self.holder = Holder::Other,
            "ph" => {
                self.holder = match tag.attribute("type").as_deref() {
                    Some("title" | "ctrTitle") => Holder::Title,
                    Some("dt" | "ftr" | "hdr" | "sldNum" | "sldImg") => Holder::Dropped,
                    Some("body" | "obj") | None => Holder::Body,
                    Some(_) => Holder::Other,
                };
            }
            "t" => self.is_text = true,
            "br" => self.paragraph.push('\n'),
            "tbl" => {
                self.is_in_table = true;
                self.tables.push(Vec::new());
            }
            "tr" => self.tables.iter_mut().next_back().into_iter().for_each(|table| table.push(Vec::new())),
            "tc" => {
                if let Some(row) = self.tables.last_mut().and_then(|table| table.last_mut()) {
                    row.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.is_text = false,
            "tbl" => self.is_in_table = false,
            "p" => {
                let text = std::mem::take(&mut self.paragraph);
                let cell = self.tables.last_mut().and_then(|table| table.last_mut()).and_then(|row| row.last_mut());
                match cell.filter(|_| self.is_in_table) {
                    Some(cell) => {
                        cell.push_str(&text);
                        cell.push('\n');
                    }
                    None if text.trim().is_empty() || self.holder == Holder::Dropped => {}
                    None => self.texts.push((self.holder, text)),
                }
            }
            _ => {}
        }
    }

    /// Adds the slide to `blocks`: titles first, wherever they stand.
    fn push(self, blocks: &mut Blocks, number: u32) -> Result<()> {
        let titles: Vec<&str> =
            self.texts.iter().filter(|(holder, _)| *holder == Holder::Title).map(|(_, text)| text.as_str()).collect();
        blocks.push(BlockKind::Heading(1), &titles.join(" "), Some(number))?;
        let num_points = self.texts.iter().filter(|(holder, _)| *holder == Holder::Body).count();
        for (holder, text) in &self.texts {
            match holder {
                Holder::Body if num_points > 1 => {
                    blocks.push(BlockKind::Paragraph, &format!("- {}", text.trim_start()), Some(number))?;
                }
                Holder::Body | Holder::Other => blocks.push(BlockKind::Paragraph, text, Some(number))?,
                Holder::Title | Holder::Dropped => {}
            }
        }
        self.tables.iter().try_for_each(|rows| table::push(blocks, rows, false, Some(number)))
    }
}
