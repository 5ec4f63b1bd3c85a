//! From lines to paragraphs, headings and tables. Pages of lines come in; what belongs together by place and by size goes
//! out as blocks. The order of drawing is trusted as the order of reading, as long as it runs down the page.

use crate::error::Result;
use crate::ingest::formats::BlockKind;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::pdf::lines::Line;
use crate::ingest::formats::pdf::paragraph::{Paragraph, half_points};

/// Distance of lines, in sizes, on pages with too few lines to measure it.
const USUAL_PITCH: f64 = 1.25;

/// Writes the blocks of all pages; pages count from 1.
pub fn write_blocks(pages: Vec<Vec<Line>>, blocks: &mut Blocks) -> Result<()> {
    let body = body_size(&pages);
    let pages: Vec<Vec<Piece>> = pages.into_iter().map(pieces).collect();
    let sizes = heading_sizes(&pages, body);
    for (pieces, page) in pages.iter().zip(1..) {
        for (position, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Table(table) => write_table(table, page, blocks)?,
                Piece::Paragraph(paragraph) => {
                    let level = heading_level(paragraph, position, pieces, body, &sizes);
                    let kind = level.map_or(BlockKind::Paragraph, BlockKind::Heading);
                    blocks.push(kind, &paragraph.text(), Some(page))?;
                }
            }
        }
    }
    Ok(())
}

fn write_table(table: &Table, page: u32, blocks: &mut Blocks) -> Result<()> {
    for (number, row) in table.rows.iter().enumerate() {
        let is_header = number == 0 && has_header(&table.rows);
        let kind = if is_header { BlockKind::TableHeader } else { BlockKind::TableRow };
        blocks.push(kind, &row.join(" | "), Some(page))?;
    }
    Ok(())
}

/// The level of a paragraph that is a heading: by its size among the `sizes` of headings, or below all of these if it is
/// no larger than the text and only stands as headings do.
fn heading_level(paragraph: &Paragraph, position: usize, pieces: &[Piece], body: f64, sizes: &[i64]) -> Option<u8> {
    let rank = if paragraph.is_large_heading(body) {
        sizes.iter().position(|&size| size == half_points(paragraph.size()))?
    } else {
        let before = position.checked_sub(1).and_then(|before| pieces.get(before));
        let above = before.map_or(f64::INFINITY, |before| paragraph.first_baseline() - before.last_baseline());
        let Some(Piece::Paragraph(after)) = pieces.get(position + 1) else { return None };
        paragraph.is_spaced_heading(body, above, after).then_some(sizes.len())?
    };
    Some((rank + 1).min(6) as u8)
}

/// What a page is made of.
enum Piece {
    Paragraph(Paragraph),
    Table(Table),
}

impl Piece {
    /// The baseline of the last line.
    fn last_baseline(&self) -> f64 {
        match self {
            Self::Paragraph(paragraph) => paragraph.last_baseline(),
            Self::Table(table) => table.last_baseline,
        }
    }
}

/// Rows of cells, and the baseline of the last one.
struct Table {
    rows: Vec<Vec<String>>,
    last_baseline: f64,
}

/// The size that most letters of the document have.
fn body_size(pages: &[Vec<Line>]) -> f64 {
    let mut letters = std::collections::BTreeMap::<i64, usize>::new();
    for line in pages.iter().flatten() {
        *letters.entry(half_points(line.size)).or_default() += line.cells.iter().map(String::len).sum::<usize>();
    }
    letters.into_iter().max_by_key(|&(_, count)| count).map_or(0.0, |(size, _)| size as f64 / 2.0)
}

/// The sizes of the document's headings, the largest first: they tell the levels.
fn heading_sizes(pages: &[Vec<Piece>], body: f64) -> Vec<i64> {
    let mut sizes: Vec<i64> = pages
        .iter()
        .flatten()
        .filter_map(|piece| match piece {
            Piece::Paragraph(paragraph) if paragraph.is_large_heading(body) => Some(half_points(paragraph.size())),
            _ => None,
        })
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes
}

/// Whether the first row of a table names its columns: it holds no number, and a later row does.
fn has_header(rows: &[Vec<String>]) -> bool {
    let has_digit = |row: &[String]| row.iter().any(|cell| cell.contains(|c: char| c.is_ascii_digit()));
    !has_digit(&rows[0]) && rows[1..].iter().any(|row| has_digit(row))
}

/// The paragraphs and tables of a page.
fn pieces(mut lines: Vec<Line>) -> Vec<Piece> {
    if is_out_of_order(&lines) {
        lines.sort_by(|a, b| {
            a.angle.cmp(&b.angle).then(a.baseline.total_cmp(&b.baseline)).then(a.start.total_cmp(&b.start))
        });
    }
    let pitch = usual_pitch(&lines);
    let mut pieces: Vec<Piece> = Vec::new();
    let is_row = |line: Option<&Line>| line.is_some_and(|line| line.cells.len() > 1);
    for (position, line) in lines.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|before| lines.get(before));
        // One line with a wide gap may be anything; two in a row are a table.
        let in_table = is_row(Some(line)) && (is_row(before) || is_row(lines.get(position + 1)));
        match pieces.last_mut() {
            Some(Piece::Table(table)) if in_table && is_row(before) => {
                table.rows.push(line.cells.clone());
                table.last_baseline = line.baseline;
            }
            _ if in_table => {
                pieces.push(Piece::Table(Table { rows: vec![line.cells.clone()], last_baseline: line.baseline }))
            }
            Some(Piece::Paragraph(paragraph)) if paragraph.continues_with(line, pitch) => paragraph.add(line),
            _ => pieces.push(Piece::Paragraph(Paragraph::of(line))),
        }
    }
    pieces
}

/// Whether the page was drawn in an order that nobody reads in: again and again a line stands above the one before it,
/// without being in another column.
fn is_out_of_order(lines: &[Line]) -> bool {
    let jumps_up = |pair: &[Line]| {
        let (first, second) = (&pair[0], &pair[1]);
        first.angle == second.angle
            && second.baseline < first.baseline - 0.5 * first.size
            && second.start < first.end
            && first.start < second.end
    };
    let jumps = lines.windows(2).filter(|pair| jumps_up(pair)).count();
    jumps >= 3 && jumps * 5 > lines.len()
}

/// The middle distance, in sizes, between a line and the next one under it.
fn usual_pitch(lines: &[Line]) -> f64 {
    let mut steps: Vec<f64> = lines
        .windows(2)
        .filter(|pair| pair[0].angle == pair[1].angle && half_points(pair[0].size) == half_points(pair[1].size))
        .map(|pair| (pair[1].baseline - pair[0].baseline) / pair[0].size)
        .filter(|step| (0.8..2.6).contains(step))
        .collect();
    const FEWEST_STEPS: usize = 4;
    if steps.len() < FEWEST_STEPS {
        return USUAL_PITCH;
    }
    let middle = steps.len() / 2;
    *steps.select_nth_unstable_by(middle, f64::total_cmp).1
}
