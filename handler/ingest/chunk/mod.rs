//! From the blocks of a document to passages: pieces small enough to quote and to give to a model, cut along the
//! document's own structure. The same document and settings always give the same passages.

mod place;
mod split;

use crate::document::{DocumentId, DocumentName, Passage};
use crate::ingest::chunk::place::{join, same_part};
use crate::ingest::chunk::split::{sentences, trailing_sentences};
use crate::ingest::formats::{Block, BlockKind, Extracted};
use crate::tokens::estimate;

/// Characters of a title or heading that are repeated in each passage under it. A document of a few megabytes whose title is
/// most of it would otherwise take gigabytes here, outside of the fence.
const MOST_TITLE_CHARS: usize = 300;

/// How large passages are. Changing it changes passages, so the index has to be made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSettings {
    /// Most tokens, as estimated, in one passage.
    pub tokens: usize,
    /// Most tokens of the end of one passage that are repeated at the start of the next, where a section is cut.
    pub overlap_tokens: usize,
}

/// Cuts a document into passages. A passage stays on one page, sheet or part and in one top-level section, holds whole paragraphs and
/// rows where they fit, and never cuts a sentence that could stay whole. Headings stand in the text of the passage that
/// they open, and in the heading path of all passages under them. A document without text gives none.
pub fn chunk(name: &DocumentName, document: &Extracted, settings: &ChunkSettings) -> Vec<Passage> {
    let mut chunker = Chunker::new(name, document, settings);
    for block in &document.blocks {
        chunker.read(block);
    }
    chunker.flush();
    chunker.passages
}

/// A piece of text that is never cut: a paragraph, a sentence of a long one, a row, a line of code, a heading.
#[derive(Clone, Copy)]
struct Unit<'d> {
    kind: BlockKind,
    text: &'d str,
    tokens: usize,
    page: Option<u32>,
    place: Option<&'d str>,
    /// What parts it from the unit before it in the same passage.
    separator: &'static str,
}

impl Unit<'_> {
    fn is_heading(&self) -> bool {
        matches!(self.kind, BlockKind::Heading(_))
    }

    /// Whether the unit says nothing without the ones after it.
    fn is_opening(&self) -> bool {
        self.is_heading() || self.kind == BlockKind::TableHeader
    }
}

struct Chunker<'d> {
    name: &'d DocumentName,
    id: DocumentId,
    title: &'d str,
    tokens: usize,
    overlap_tokens: usize,
    /// Headings of this level and above it open a new passage.
    section_level: u8,
    /// The headings that stand above the block at hand.
    path: Vec<(u8, &'d str)>,
    /// The header of the table at hand.
    table_header: Option<Unit<'d>>,
    /// The units of the next passage, what they cost, and the headings above the first of them that is text.
    pending: Vec<Unit<'d>>,
    pending_tokens: usize,
    pending_path: Vec<String>,
    passages: Vec<Passage>,
}

impl<'d> Chunker<'d> {
    fn new(name: &'d DocumentName, document: &'d Extracted, settings: &ChunkSettings) -> Self {
        const FEWEST_TOKENS: usize = 8;
        let tokens = settings.tokens.max(FEWEST_TOKENS);
        Self {
            name,
            id: DocumentId::of(name),
            title: clipped(document.title.as_deref().unwrap_or(name.file_name())),
            tokens,
            overlap_tokens: settings.overlap_tokens.min(tokens / 2),
            section_level: section_level(&document.blocks),
            path: Vec::new(),
            table_header: None,
            pending: Vec::new(),
            pending_tokens: 0,
            pending_path: Vec::new(),
            passages: Vec::new(),
        }
    }

    fn read(&mut self, block: &'d Block) {
        self.turn_page(block);
        if !matches!(block.kind, BlockKind::TableHeader | BlockKind::TableRow) {
            self.table_header = None;
        }
        let unit = Unit {
            kind: block.kind,
            text: block.text.trim_end(),
            tokens: estimate(&block.text),
            page: block.page,
            place: block.place.as_deref(),
            separator: "\n\n",
        };
        match block.kind {
            BlockKind::Heading(level) => self.heading(level, unit),
            BlockKind::Paragraph => self.paragraph(unit),
            BlockKind::Code => self.code(unit),
            BlockKind::TableHeader => {
                self.table_header = (unit.tokens * 2 <= self.tokens).then_some(unit);
                self.whole_or_sentences(unit);
            }
            BlockKind::TableRow => self.whole_or_sentences(Unit { separator: "\n", ..unit }),
        }
    }

    /// Ends the passage where a page, a sheet or a part ends. Headings alone at the end of a page are left to the heading path of what
    /// follows them, unless nothing does.
    fn turn_page(&mut self, block: &Block) {
        let Some(last) = self.pending.last() else { return };
        if last.page == block.page && same_part(last.place, block.place.as_deref()) {
            return;
        }
        let is_carried = match (last.kind, block.kind) {
            (BlockKind::Heading(above), BlockKind::Heading(below)) => below > above,
            (BlockKind::Heading(_), _) => true,
            _ => false,
        };
        if is_carried && self.pending.iter().all(Unit::is_heading) {
            self.pending.clear();
        }
        self.flush();
    }

    fn heading(&mut self, level: u8, unit: Unit<'d>) {
        let opens_section = level <= self.section_level || self.pending_tokens * 2 >= self.tokens;
        if opens_section && !self.pending.iter().all(Unit::is_heading) {
            self.flush();
        }
        while self.path.last().is_some_and(|&(above, _)| above >= level) {
            self.path.pop();
        }
        self.path.push((level, clipped(unit.text)));
        self.whole_or_sentences(unit);
    }

    fn paragraph(&mut self, unit: Unit<'d>) {
        let is_item = |text: &str| text.starts_with("- ") || text.starts_with("• ");
        let follows_item = self.pending.last().is_some_and(|last| is_item(last.text));
        let separator = if is_item(unit.text) && follows_item { "\n" } else { "\n\n" };
        self.whole_or_sentences(Unit { separator, ..unit });
    }

    /// Adds a unit as a whole if it fits into a passage; else by its sentences. It is also cut if the passage would
    /// otherwise end with next to nothing in it.
    fn whole_or_sentences(&mut self, unit: Unit<'d>) {
        let is_thin = !self.pending.is_empty() && self.pending_tokens * 4 < self.tokens;
        let fits = self.pending_tokens + unit.tokens <= self.tokens;
        let may_be_cut = unit.kind == BlockKind::Paragraph && is_thin;
        if fits || (unit.tokens <= self.tokens && !may_be_cut) {
            return self.add(unit);
        }
        for (position, piece) in sentences(unit.text, self.tokens).into_iter().enumerate() {
            let separator = if position == 0 { unit.separator } else { piece.separator };
            self.add(Unit { text: piece.text, tokens: piece.tokens, separator, ..unit });
        }
    }

    fn code(&mut self, unit: Unit<'d>) {
        if unit.tokens <= self.tokens {
            return self.add(unit);
        }
        for (position, line) in unit.text.lines().enumerate() {
            let separator = if position == 0 { unit.separator } else { "\n" };
            self.whole_or_sentences(Unit { text: line, tokens: estimate(line), separator, ..unit });
        }
    }

    /// Adds a unit that fits into a passage, ending the one at hand if it does not fit into that one any more. Headings wait
    /// for the text under them, until they fill a passage by themselves: so none is twice as large as it should be.
    fn add(&mut self, unit: Unit<'d>) {
        if unit.text.trim().is_empty() && unit.kind != BlockKind::Code {
            return;
        }
        if self.pending_tokens + unit.tokens > self.tokens {
            if !self.pending.iter().all(Unit::is_opening) {
                let carried = self.carry(&unit);
                self.flush();
                for unit in carried {
                    self.keep(unit);
                }
            } else if self.pending_tokens >= self.tokens {
                self.flush();
            }
        }
        self.keep(unit);
    }

    fn keep(&mut self, unit: Unit<'d>) {
        if self.pending.iter().all(Unit::is_heading) {
            self.pending_path = self.path.iter().map(|&(_, heading)| heading.to_owned()).collect();
        }
        self.pending_tokens += unit.tokens;
        self.pending.push(unit);
    }

    /// What goes over into the passage that `next` opens: headings and table headers left at the end, else the header of
    /// the table that is cut, else the last sentences of the text that is cut.
    fn carry(&mut self, next: &Unit<'d>) -> Vec<Unit<'d>> {
        let end = self.pending.iter().rposition(|unit| !unit.is_opening()).map_or(0, |last| last + 1);
        let opening = self.pending.split_off(end);
        if !opening.is_empty() {
            return opening;
        }
        if next.kind == BlockKind::TableRow {
            return self.table_header.into_iter().collect();
        }
        let Some(last) = self.pending.last().filter(|last| last.kind == BlockKind::Paragraph) else {
            return Vec::new();
        };
        let room = self.overlap_tokens.min(self.tokens.saturating_sub(next.tokens));
        if next.kind != BlockKind::Paragraph || next.is_heading() {
            return Vec::new();
        }
        let text = trailing_sentences(last.text, room);
        if text.is_empty() { Vec::new() } else { vec![Unit { text, tokens: estimate(text), ..*last }] }
    }

    /// Ends the passage at hand, if there is one.
    fn flush(&mut self) {
        let units = std::mem::take(&mut self.pending);
        let heading_path = std::mem::take(&mut self.pending_path);
        self.pending_tokens = 0;
        let mut text = String::new();
        for unit in &units {
            if !text.is_empty() {
                text.push_str(unit.separator);
            }
            text.push_str(unit.text);
        }
        if text.trim().is_empty() {
            return;
        }
        let ordinal =
            u32::try_from(self.passages.len()).expect("the limit of text keeps passages far below four billion");
        self.passages.push(Passage {
            id: Passage::id_of(&self.id, ordinal),
            document_id: self.id.clone(),
            name: self.name.clone(),
            title: self.title.to_owned(),
            ordinal,
            page: units.first().and_then(|unit| unit.page),
            place: place_of(&units),
            heading_path,
            text,
        });
    }
}

/// The beginning of a title.
fn clipped(title: &str) -> &str {
    title.char_indices().nth(MOST_TITLE_CHARS).map_or(title, |(end, _)| &title[..end])
}

/// Where a passage stands. The header of a table is repeated in many passages, so it counts only where it is all there is.
fn place_of(units: &[Unit<'_>]) -> Option<String> {
    let places =
        |wanted: fn(&Unit<'_>) -> bool| join(units.iter().filter(|unit| wanted(unit)).filter_map(|unit| unit.place));
    places(|unit| !unit.is_opening()).or_else(|| places(|_| true))
}

/// The level of the headings that part the document: the outermost one that occurs more than once. A single heading above
/// all others is a title and parts nothing.
fn section_level(blocks: &[Block]) -> u8 {
    let mut counts = [0_usize; 7];
    for block in blocks {
        if let BlockKind::Heading(level) = block.kind {
            counts[usize::from(level.min(6))] += 1;
        }
    }
    let outermost = |fewest: usize| counts.iter().position(|&count| count >= fewest);
    outermost(2).or_else(|| outermost(1)).map_or(0, |level| level as u8)
}

#[cfg(test)]
mod tests;
