//! Rows of tables as text that can be read alone, the same for every format that has tables: `column: value; …`.

use crate::error::Result;
use crate::ingest::formats::BlockKind;
use crate::ingest::formats::blocks::Blocks;

/// Rows longer than this come from tables that lay out a page: their cells are paragraphs.
const LONGEST_ROW_BYTES: usize = 2000;

/// Whether a first row names columns: every cell is filled, none is a number, no two are the same.
pub fn is_header(row: &[&str]) -> bool {
    let mut names: Vec<&str> = row.iter().map(|name| name.trim()).collect();
    let named = names.iter().all(|name| !name.is_empty() && name.parse::<f64>().is_err());
    names.sort_unstable();
    names.dedup();
    named && row.len() > 1 && names.len() == row.len()
}

/// A row as a sentence of `column: value` pairs. Empty cells are left out; cells without a column go without a name.
pub fn describe(columns: &[&str], row: &[&str]) -> String {
    if columns.is_empty() {
        return join(row);
    }
    let mut out = String::new();
    for (position, cell) in row.iter().map(|cell| cell.trim()).enumerate().filter(|(_, cell)| !cell.is_empty()) {
        if !out.is_empty() {
            out.push_str("; ");
        }
        if let Some(column) = columns.get(position).map(|column| column.trim()).filter(|column| !column.is_empty()) {
            out.push_str(column);
            out.push_str(": ");
        }
        out.push_str(cell);
    }
    out
}

/// A row without names for its columns. A row of empty cells has no text.
pub fn join(row: &[&str]) -> String {
    if row.iter().all(|cell| cell.trim().is_empty()) {
        return String::new();
    }
    row.iter().map(|cell| cell.trim()).collect::<Vec<_>>().join(" | ")
}

/// Adds a table whose cells are all known. A table of one column, and one with very long rows, lays out a page.
pub fn push(blocks: &mut Blocks, rows: &[Vec<String>], has_header: bool, page: Option<u32>) -> Result<()> {
    let is_layout = rows.iter().all(|row| row.len() < 2)
        || rows.iter().any(|row| row.iter().map(String::len).sum::<usize>() > LONGEST_ROW_BYTES);
    let mut columns: Vec<&str> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        if is_layout {
            for cell in row {
                blocks.push(BlockKind::Paragraph, cell, page)?;
            }
        } else if number == 0 && rows.len() > 1 && (has_header || is_header(&row)) {
            blocks.push(BlockKind::TableHeader, &join(&row), page)?;
            columns = row;
        } else {
            blocks.push(BlockKind::TableRow, &describe(&columns, &row), page)?;
        }
    }
    Ok(())
}
