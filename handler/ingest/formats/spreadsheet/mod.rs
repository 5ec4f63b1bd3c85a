//! Spreadsheets. Workbooks of Excel and OpenDocument come in; each sheet goes out as a heading and its rows, each row with
//! its cells' range, and with the name of each column where a row names them. Empty sheets are left out, hidden ones read.

mod sheet;
mod value;

use std::io::Cursor;

use calamine::{Data, Dimensions, Ods, OdsError, Reader, Xls, XlsError, Xlsx, XlsxError};

use crate::error::{Error, Result};
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::markup::walk;
use crate::ingest::formats::package::{Package, damaged, declares, fit, locked, over};
use crate::ingest::formats::relations::core_title;
use crate::ingest::formats::spreadsheet::sheet::SheetWriter;
use crate::ingest::formats::spreadsheet::value::{shown, shown_as};
use crate::ingest::formats::{ExtractLimits, Extracted, Fit, Format, compound};

/// Excel, since 2007.
pub const XLSX: Format = Format {
    name: "Excel (xlsx)",
    extensions: &["xlsx", "xlsm", "xltx", "xltm"],
    sniff: |bytes| fit(bytes, |names, _| names.iter().any(|name| name.starts_with("xl/") && name.ends_with(".xml"))),
    read: read_xlsx,
};

/// OpenDocument spreadsheets.
pub const ODS: Format = Format {
    name: "OpenDocument spreadsheet (ods)",
    extensions: &["ods", "ots"],
    sniff: |bytes| fit(bytes, |_, bytes| declares(bytes, "application/vnd.oasis.opendocument.spreadsheet")),
    read: read_ods,
};

/// Excel 97 to 2003.
pub const XLS: Format = Format {
    name: "Excel 97 (xls)",
    extensions: &["xls", "xlt"],
    sniff: |bytes| if compound::is_workbook(bytes) { Fit::Certain } else { Fit::No },
    read: read_xls,
};

/// A workbook with more sheets than these was made by a program, to harm or by mistake.
const MOST_SHEETS: usize = 1_000;
/// Cells with a value, in all sheets. A million short cells are ten megabytes of text, the most that is usually indexed.
const MOST_CELLS: usize = 1_000_000;

fn read_xlsx(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    // The library unpacks for itself and does not count.
    let mut package = Package::open(bytes, limits)?;
    package.check(|name| name.ends_with(".xml") || name.ends_with(".rels") || name.ends_with(".bin"))?;
    let title = core_title(&mut package, limits)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(xlsx_error)?;
    let mut out = Book::new(limits, book.sheet_names())?;
    for name in out.names.clone() {
        let merged = vertical(book.merge_cells_by_sheet_name(&name).unwrap_or_default());
        let mut cells = match book.worksheet_cells_reader(&name) {
            Ok(cells) => cells,
            // A sheet may be nothing but a chart.
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(xlsx_error(error)),
        };
        let mut sheet = SheetWriter::new(&name, merged);
        while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(xlsx_error)? {
            let format = cells.styles().get(style).and_then(|style| style.number_format.as_ref());
            let text = shown_as(cell.get_value(), format.map(|format| format.format_code.as_str()));
            out.cell(&mut sheet, cell.get_position(), text)?;
        }
        sheet.finish(&mut out.blocks)?;
    }
    Ok(out.blocks.finish(title, None))
}

fn read_ods(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut package = Package::open(bytes, limits)?;
    package.check(|name| name.ends_with(".xml") || name == "mimetype")?;
    // The library waits for ever for the end of a sheet that has none.
    walk(&package.needed("content.xml")?, limits, |_| Ok(()))?;
    let title = super::relations::element_text(&mut package, "meta.xml", "title", limits)?;
    let book: Ods<_> = Ods::new(Cursor::new(bytes)).map_err(|error| match error {
        OdsError::Password => locked(),
        OdsError::CellLimitExceeded { .. } => too_many_cells(),
        other => damaged("its table").caused_by(other),
    })?;
    read_ranges(book, title, limits, |_, _| Vec::new())
}

fn read_xls(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let book: Xls<_> = Xls::new(Cursor::new(bytes)).map_err(|error| match error {
        XlsError::Password => locked(),
        other => damaged("its table").caused_by(other),
    })?;
    read_ranges(book, None, limits, |book, name| vertical(book.merge_cells_by_sheet_name(name).unwrap_or_default()))
}

/// Reads a workbook of which the library has read all sheets already.
fn read_ranges<'b, B: Reader<Cursor<&'b [u8]>>>(
    mut book: B,
    title: Option<String>,
    limits: &ExtractLimits,
    merged: fn(&B, &str) -> Vec<Dimensions>,
) -> Result<Extracted> {
    let mut out = Book::new(limits, book.sheet_names())?;
    for name in out.names.clone() {
        // A sheet that cannot be had, such as a chart, has no cells.
        let Ok(range) = book.worksheet_range(&name) else { continue };
        let (top, left) = range.start().unwrap_or_default();
        let mut sheet = SheetWriter::new(&name, merged(&book, &name));
        for (row, column, value) in range.used_cells().filter(|(_, _, value)| !matches!(value, Data::Empty)) {
            let at = |start: u32, offset: usize| start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
            out.cell(&mut sheet, (at(top, row), at(left, column)), shown(value))?;
        }
        sheet.finish(&mut out.blocks)?;
    }
    Ok(out.blocks.finish(title, None))
}

/// A workbook that is being read.
struct Book {
    blocks: Blocks,
    names: Vec<String>,
    num_cells: usize,
}

impl Book {
    fn new(limits: &ExtractLimits, names: Vec<String>) -> Result<Self> {
        if names.len() > MOST_SHEETS {
            return Err(over(format!("it has {} sheets; {MOST_SHEETS} are allowed", names.len())));
        }
        Ok(Self { blocks: Blocks::new(limits), names, num_cells: 0 })
    }

    fn cell(&mut self, sheet: &mut SheetWriter, (row, column): (u32, u32), text: String) -> Result<()> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.num_cells += 1;
        if self.num_cells > MOST_CELLS {
            return Err(too_many_cells());
        }
        sheet.cell(row, column, text, &mut self.blocks)
    }
}

/// The merged cells that go over several rows: what they say counts for each. One over several columns says it once.
fn vertical(merged: Vec<Dimensions>) -> Vec<Dimensions> {
    const MOST_MERGED: usize = 1_000;
    merged.into_iter().filter(|cells| cells.end.0 > cells.start.0).take(MOST_MERGED).collect()
}

fn too_many_cells() -> Error {
    over(format!("it has more than {MOST_CELLS} cells"))
}

fn xlsx_error(error: XlsxError) -> Error {
    match error {
        XlsxError::Password => locked(),
        other => damaged("its table").caused_by(other),
    }
}
