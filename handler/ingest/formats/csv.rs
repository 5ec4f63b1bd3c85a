//! Tables in text: CSV, TSV and their cousins. Each row comes out so that it can be read alone: `column: value; …`.

use csv::{ReaderBuilder, StringRecord};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, table, text};

/// Tables whose columns are parted by commas, semicolons, tabs or bars.
pub const FORMAT: Format = Format {
    name: "CSV",
    extensions: &["csv", "tsv", "tab"],
    sniff: |bytes| if text::is_text(bytes) { Fit::Possible } else { Fit::No },
    read,
};

/// What may part columns, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Rows that are looked at to find the delimiter.
const SNIFFED_ROWS: usize = 20;

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let delimiter = sniff_delimiter(&source);
    let mut rows = reader(&source, delimiter).into_records();
    let mut blocks = Blocks::new(limits);
    let mut columns = StringRecord::new();
    let mut is_first = true;
    while let Some(row) = rows.next().transpose().map_err(damaged)? {
        let cells: Vec<&str> = row.iter().collect();
        if std::mem::take(&mut is_first) && table::is_header(&cells) {
            blocks.push(BlockKind::TableHeader, &table::join(&cells), None)?;
            columns = row;
        } else {
            let columns: Vec<&str> = columns.iter().collect();
            blocks.push(BlockKind::TableRow, &table::describe(&columns, &cells), None)?;
        }
    }
    Ok(blocks.finish(None, None))
}

fn reader(source: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(source.as_bytes())
}

fn damaged(error: csv::Error) -> Error {
    Error::new(ErrorKind::DocumentDamaged, "the table cannot be read to its end").caused_by(error)
}

/// The delimiter that cuts the most of the first rows into the same number of columns, more than one.
fn sniff_delimiter(source: &str) -> u8 {
    let score = |delimiter: u8| {
        let widths: Vec<usize> = reader(source, delimiter)
            .into_records()
            .take(SNIFFED_ROWS)
            .filter_map(|row| Some(row.ok()?.len()))
            .collect();
        let first = widths.first().copied().unwrap_or(0);
        if first < 2 { 0 } else { widths.iter().filter(|&&width| width == first).count() }
    };
    // `max_by_key` keeps the last of equals, so the likeliest has to come last.
    DELIMITERS.into_iter().rev().max_by_key(|&delimiter| score(delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        let limits = ExtractLimits::new(1, 1000);
        let found = read(source.as_bytes(), &limits).unwrap();
        found.blocks.iter().map(|block| format!("{:?} {}", block.kind, block.text)).collect()
    }

    #[test]
    fn names_each_value() {
        let expected =
            ["TableHeader Grade | Days", "TableRow Grade: A, senior; Days: 25", "TableRow Grade: B; Days: 20; late"];
        assert_eq!(lines("Grade,Days\n\"A, senior\",25\n,\nB,20,late\n"), expected);
    }

    #[test]
    fn finds_the_delimiter_and_the_missing_header() {
        assert_eq!(lines("Ort;Preis\nKöln;1,50\n"), ["TableHeader Ort | Preis", "TableRow Ort: Köln; Preis: 1,50"]);
        assert_eq!(lines("a\tb\n1\t2\n"), ["TableHeader a | b", "TableRow a: 1; b: 2"]);
        assert_eq!(lines("1,2\n3,4\n"), ["TableRow 1 | 2", "TableRow 3 | 4"]);
    }
}
