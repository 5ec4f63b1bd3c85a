//! What paragraphs, lists, notes and tables of a word processor's document come to, while they are read as a stream. Text
//! boxes stand inside of paragraphs and tables inside of cells, so both are kept as stacks; blocks come out flat.

use crate::error::Result;
use crate::ingest::formats::blocks::{Blocks, over_text_limit};
use crate::ingest::formats::{BlockKind, ExtractLimits, table};

/// Columns that one cell may claim to span; a wider claim is no table that people made.
const WIDEST_SPAN: usize = 64;

/// A document that is being read.
pub struct Flow {
    /// The blocks so far.
    pub blocks: Blocks,
    /// The page at hand, where the document tells pages apart.
    pub page: Option<u32>,
    /// Text that stands after the paragraph or table at hand: footnotes.
    pub notes: Vec<String>,
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    /// Text that is held in paragraphs and tables, in bytes, and the most it may come to.
    held_bytes: usize,
    max_text_bytes: usize,
}

/// What a paragraph turned out to be when it ended.
pub enum Ending {
    /// Running text.
    Text,
    /// An item of a list.
    Item,
    /// A heading of this level.
    Heading(u8),
    /// Nothing that is read.
    Dropped,
}

#[derive(Default)]
struct Paragraph {
    text: String,
    page: Option<u32>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    has_header: bool,
    page: Option<u32>,
}

impl Flow {
    /// A document of which nothing was read yet.
    pub fn new(limits: &ExtractLimits) -> Self {
        let (paragraphs, tables, notes) = (Vec::new(), Vec::new(), Vec::new());
        let (blocks, max_text_bytes) = (Blocks::new(limits), limits.max_text_bytes);
        Self { blocks, page: None, notes, paragraphs, tables, held_bytes: 0, max_text_bytes }
    }

    /// A paragraph begins.
    pub fn open_paragraph(&mut self) {
        self.paragraphs.push(Paragraph::default());
    }

    /// Text of the paragraph at hand; outside of paragraphs there is none.
    pub fn text(&mut self, text: &str) -> Result<()> {
        let Some(paragraph) = self.paragraphs.last_mut() else { return Ok(()) };
        self.held_bytes += text.len();
        if self.held_bytes > self.max_text_bytes.saturating_mul(2) {
            return Err(over_text_limit(self.max_text_bytes));
        }
        if paragraph.text.trim().is_empty() {
            paragraph.page = self.page;
        }
        paragraph.text.push_str(text);
        Ok(())
    }

    /// The paragraph at hand ends. In a table it becomes part of the cell.
    pub fn close_paragraph(&mut self, ending: Ending) -> Result<()> {
        let Some(Paragraph { text, page }) = self.paragraphs.pop() else { return Ok(()) };
        let text = text.trim();
        if text.is_empty() || matches!(ending, Ending::Dropped) {
            return Ok(());
        }
        if let Some(cell) = self.cell() {
            if !cell.is_empty() {
                cell.push('\n');
            }
            cell.push_str(text);
            return Ok(());
        }
        self.held_bytes = self.held_bytes.saturating_sub(text.len());
        match ending {
            Ending::Heading(level) => self.blocks.push(BlockKind::Heading(level.clamp(1, 6)), text, page)?,
            Ending::Item => self.blocks.push(BlockKind::Paragraph, &format!("- {text}"), page)?,
            Ending::Text | Ending::Dropped => self.blocks.push(BlockKind::Paragraph, text, page)?,
        }
        self.flush_notes()
    }

    /// A table begins.
    pub fn open_table(&mut self) {
        self.tables.push(Table { page: self.page, ..Table::default() });
    }

    /// The first row of the table at hand names its columns.
    pub fn mark_header(&mut self) {
        if let Some(table) = self.tables.last_mut() {
            table.has_header |= table.rows.len() <= 1;
        }
    }

    /// A row begins.
    pub fn open_row(&mut self) {
        if let Some(table) = self.tables.last_mut() {
            table.rows.push(Vec::new());
        }
    }

    /// The row at hand is none: it was deleted.
    pub fn drop_row(&mut self) {
        if let Some(table) = self.tables.last_mut() {
            table.rows.pop();
        }
    }

    /// The row at hand is none if no cell was opened in it.
    pub fn drop_row_if_empty(&mut self) {
        if let Some(table) = self.tables.last_mut() {
            table.rows.pop_if(|row| row.is_empty());
        }
    }

    /// A cell begins.
    pub fn open_cell(&mut self) {
        if let Some(row) = self.row() {
            row.push(String::new());
        }
    }

    /// The cell at hand spans this many columns.
    pub fn span(&mut self, columns: usize) {
        if let Some(row) = self.row() {
            row.extend(std::iter::repeat_n(String::new(), columns.clamp(1, WIDEST_SPAN) - 1));
        }
    }

    /// The cell at hand goes on from the row above: it says the same.
    pub fn repeat_above(&mut self) {
        let Some(rows) = self.tables.last_mut().map(|table| &mut table.rows) else { return };
        let [.., above, row] = rows.as_mut_slice() else { return };
        if let (Some(cell), Some(said)) = (row.len().checked_sub(1), above.get(row.len().saturating_sub(1))) {
            self.held_bytes += said.len();
            row[cell].clone_from(said);
        }
    }

    /// The table at hand ends. A table inside of a cell becomes text of that cell.
    pub fn close_table(&mut self) -> Result<()> {
        let Some(Table { rows, has_header, page }) = self.tables.pop() else { return Ok(()) };
        if let Some(cell) = self.cell() {
            for row in &rows {
                let row: Vec<&str> = row.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
                cell.push('\n');
                cell.push_str(&row.join(" "));
            }
            return Ok(());
        }
        self.held_bytes = 0;
        table::push(&mut self.blocks, &rows, has_header, page)?;
        self.flush_notes()
    }

    /// Whether text at hand stands in a table.
    pub fn is_in_table(&self) -> bool {
        !self.tables.is_empty()
    }

    fn row(&mut self) -> Option<&mut Vec<String>> {
        self.tables.last_mut()?.rows.last_mut()
    }

    fn cell(&mut self) -> Option<&mut String> {
        self.row()?.last_mut()
    }

    fn flush_notes(&mut self) -> Result<()> {
        if !self.tables.is_empty() {
            return Ok(());
        }
        for note in std::mem::take(&mut self.notes) {
            self.blocks.push(BlockKind::Paragraph, &note, self.page)?;
        }
        Ok(())
    }
}
