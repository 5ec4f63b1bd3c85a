//! One sheet, cell after cell, as blocks. A row of names above other rows is the header of a table; a lone cell above one is
//! a caption. A table ends where a row is empty.

use calamine::Dimensions;

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, table};

/// A header is repeated in each passage of its table: names longer than this, together, are rows of text.
const LONGEST_HEADER_BYTES: usize = 1_000;
/// Empty cells between two filled ones that are still kept as columns.
const WIDEST_GAP: usize = 1_000;

/// Cells of one row with their columns, left to right.
type Cells = Vec<(u32, String)>;

/// A sheet that is being read.
pub struct SheetWriter {
    name: String,
    merged: Vec<(Dimensions, Option<String>)>,
    is_announced: bool,
    row: u32,
    cells: Cells,
    /// The row before, which is kept back until it is known whether it names the columns of the one after.
    held: Option<(u32, Cells)>,
    /// Names of columns by their number.
    header: Option<Cells>,
}

impl SheetWriter {
    /// A sheet of this name, with its merged cells.
    pub fn new(name: &str, merged: Vec<Dimensions>) -> Self {
        let merged = merged.into_iter().map(|cells| (cells, None)).collect();
        Self { name: name.to_owned(), merged, is_announced: false, row: 0, cells: Vec::new(), held: None, header: None }
    }

    /// Takes the next cell; they come row by row.
    pub fn cell(&mut self, row: u32, column: u32, text: String, blocks: &mut Blocks) -> Result<()> {
        if row != self.row {
            self.end_row(blocks)?;
            self.row = row;
        }
        if let Some((_, said)) = self.merged.iter_mut().find(|(cells, _)| cells.start == (row, column)) {
            *said = Some(text.clone());
        }
        self.cells.push((column, text));
        Ok(())
    }

    /// The sheet ends.
    pub fn finish(mut self, blocks: &mut Blocks) -> Result<()> {
        self.end_row(blocks)?;
        self.release(false, blocks)
    }

    fn end_row(&mut self, blocks: &mut Blocks) -> Result<()> {
        let mut cells = std::mem::take(&mut self.cells);
        if cells.is_empty() {
            return Ok(());
        }
        let row = self.row;
        for (merged, said) in &self.merged {
            let column = merged.start.1;
            let goes_on = (merged.start.0 + 1..=merged.end.0).contains(&row);
            if let Some(said) = said.as_ref().filter(|_| goes_on && cells.iter().all(|(at, _)| *at != column)) {
                cells.push((column, said.clone()));
            }
        }
        cells.sort_by_key(|(column, _)| *column);
        let follows = self.held.as_ref().is_some_and(|(above, _)| above + 1 == row);
        self.release(follows, blocks)?;
        self.held = Some((row, cells));
        Ok(())
    }

    /// Writes the row that was kept back, as the header of the table if another row follows and none was found yet.
    fn release(&mut self, is_followed: bool, blocks: &mut Blocks) -> Result<()> {
        let Some((row, cells)) = self.held.take() else { return Ok(()) };
        let texts: Vec<&str> = cells.iter().map(|(_, text)| text.as_str()).collect();
        let place = self.place(row, &cells);
        if !std::mem::replace(&mut self.is_announced, true) {
            blocks.push_at(BlockKind::Heading(1), &self.name, &place)?;
        }
        let is_short = texts.iter().map(|text| text.len()).sum::<usize>() <= LONGEST_HEADER_BYTES;
        if self.header.is_none() && is_followed && is_short && table::is_header(&texts) {
            blocks.push_at(BlockKind::TableHeader, &table::join(&texts), &place)?;
            self.header = Some(cells);
            return Ok(());
        }
        match &self.header {
            Some(header) => {
                let columns: Vec<&str> = cells.iter().map(|(column, _)| name_of(header, *column)).collect();
                blocks.push_at(BlockKind::TableRow, &table::describe(&columns, &texts), &place)?;
            }
            None if texts.len() == 1 => blocks.push_at(BlockKind::Paragraph, texts[0], &place)?,
            None => blocks.push_at(BlockKind::TableRow, &aligned(&cells), &place)?,
        }
        if !is_followed {
            self.header = None;
        }
        Ok(())
    }

    fn place(&self, row: u32, cells: &Cells) -> String {
        let column = |end: Option<&(u32, String)>| column_name(end.map_or(0, |(column, _)| *column));
        let (left, right) = (column(cells.first()), column(cells.last()));
        let number = u64::from(row) + 1;
        format!("sheet={}!{left}{number}:{right}{number}", self.name)
    }
}

fn name_of(header: &Cells, column: u32) -> &str {
    header.iter().find(|(at, _)| *at == column).map_or("", |(_, name)| name)
}

/// A row without names for its columns, with the empty cells between.
fn aligned(cells: &Cells) -> String {
    let mut row: Vec<&str> = Vec::new();
    let first = cells.first().map_or(0, |(column, _)| *column);
    for (column, text) in cells {
        let position = (column - first) as usize;
        if position < WIDEST_GAP {
            row.resize(position, "");
        }
        row.push(text);
    }
    table::join(&row)
}

/// The letters of a column, counted from 0.
fn column_name(column: u32) -> String {
    let (mut letters, mut rest) = (Vec::new(), u64::from(column) + 1);
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::formats::ExtractLimits;

    #[test]
    fn finds_captions_headers_and_ends_of_tables() {
        let mut blocks = Blocks::new(&ExtractLimits::new(1, 1000));
        let merged = vec![Dimensions::new((3, 0), (4, 0))];
        let mut sheet = SheetWriter::new("Prices", merged);
        let rows = [
            (0, vec![(0, "Price list")]),
            (2, vec![(0, "Part"), (1, "Price")]),
            (3, vec![(0, "Rope"), (1, "1.50")]),
            (4, vec![(1, "1.60")]),
            (6, vec![(0, "1"), (3, "x")]),
        ];
        for (row, cells) in rows {
            for (column, text) in cells {
                sheet.cell(row, column, text.to_owned(), &mut blocks).unwrap();
            }
        }
        sheet.finish(&mut blocks).unwrap();
        let found: Vec<String> = blocks
            .finish(None, None)
            .blocks
            .iter()
            .map(|block| format!("{:?} {} @{}", block.kind, block.text, block.place.as_deref().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                "Heading(1) Prices @sheet=Prices!A1:A1",
                "Paragraph Price list @sheet=Prices!A1:A1",
                "TableHeader Part | Price @sheet=Prices!A3:B3",
                "TableRow Part: Rope; Price: 1.50 @sheet=Prices!A4:B4",
                "TableRow Part: Rope; Price: 1.60 @sheet=Prices!A5:B5",
                "TableRow 1 | | | x @sheet=Prices!A7:D7",
            ]
        );
    }

    #[test]
    fn names_columns_as_people_do() {
        assert_eq!([0, 25, 26, 701, 702, 16_383].map(column_name), ["A", "Z", "AA", "ZZ", "AAA", "XFD"]);
    }
}
