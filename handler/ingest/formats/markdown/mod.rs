//! Markdown, read line by line: headings, paragraphs, lists, tables and fenced code. No document tree is built and no
//! construct nests, so that no input can make the reader slow or deep.

mod inline;

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::markdown::inline::plain;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// Markdown, known by its extension only: every text is Markdown.
pub const FORMAT: Format = Format {
    name: "Markdown",
    extensions: &["md", "markdown", "mdx"],
    sniff: |bytes| if text::is_text(bytes) { Fit::Possible } else { Fit::No },
    read,
};

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let (front_title, body) = split_front_matter(&source);
    let mut reader = Reader { blocks: Blocks::new(limits), paragraph: String::new(), fence: None, table: Table::None };
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        reader.line(line, lines.peek().copied())?;
    }
    reader.end_fence()?;
    reader.end_paragraph()?;
    let title = front_title.or_else(|| reader.blocks.first_heading());
    Ok(reader.blocks.finish(title, None))
}

/// Parts the settings that many generators put between two `---` lines at the top; of these only the title is text.
fn split_front_matter(source: &str) -> (Option<String>, &str) {
    let Some(rest) =
        source.strip_prefix("---").and_then(|rest| rest.trim_start_matches([' ', '\r']).strip_prefix('\n'))
    else {
        return (None, source);
    };
    let mut title = None;
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        offset += line.len();
        let line = line.trim_end();
        if line == "---" || line == "..." {
            return (title, &rest[offset..]);
        }
        if let Some(value) = line.strip_prefix("title:") {
            title = Some(value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    // Never closed: it was a rule and what follows is text.
    (None, source)
}

/// Where a line stands relative to a table.
#[derive(PartialEq, Eq)]
enum Table {
    None,
    /// The header has been written; the delimiter row comes next.
    Delimiter,
    Rows,
}

struct Reader {
    blocks: Blocks,
    /// Lines of the paragraph or list that is being read, as plain text.
    paragraph: String,
    /// The fence that will end the code that is being read, and the code so far.
    fence: Option<(String, String)>,
    table: Table,
}

impl Reader {
    fn line(&mut self, line: &str, next: Option<&str>) -> Result<()> {
        if let Some((fence, code)) = &mut self.fence {
            if line.trim().starts_with(fence.as_str()) && line.trim().trim_start_matches(&fence[..1]).is_empty() {
                return self.end_fence();
            }
            code.push_str(line);
            code.push('\n');
            return Ok(());
        }
        let line = strip_quote(line);
        let trimmed = line.trim();
        if trimmed.is_empty() {
            self.table = Table::None;
            return self.end_paragraph();
        }
        if let Some(fence) = opening_fence(trimmed) {
            self.end_paragraph()?;
            self.fence = Some((fence, String::new()));
            return Ok(());
        }
        if self.table_line(trimmed, next)? {
            return Ok(());
        }
        if let Some((level, heading)) = atx_heading(trimmed) {
            self.end_paragraph()?;
            return self.blocks.push(BlockKind::Heading(level), &plain(heading), None);
        }
        if let Some(level) = setext_level(trimmed).filter(|_| !self.paragraph.is_empty()) {
            let heading = std::mem::take(&mut self.paragraph);
            return self.blocks.push(BlockKind::Heading(level), &heading, None);
        }
        if is_rule(trimmed) {
            return self.end_paragraph();
        }
        if !is_link_definition(trimmed) {
            self.paragraph.push_str(&plain(trimmed));
            self.paragraph.push('\n');
        }
        Ok(())
    }

    /// Reads a line as part of a table, if it is: a header is known by the delimiter row under it.
    fn table_line(&mut self, line: &str, next: Option<&str>) -> Result<bool> {
        match self.table {
            Table::Delimiter => self.table = Table::Rows,
            Table::Rows if line.contains('|') => self.blocks.push(BlockKind::TableRow, &row(line), None)?,
            Table::None | Table::Rows => {
                self.table = Table::None;
                let is_header =
                    line.contains('|') && next.is_some_and(|next| is_delimiter_row(strip_quote(next).trim()));
                if !is_header {
                    return Ok(false);
                }
                self.end_paragraph()?;
                self.blocks.push(BlockKind::TableHeader, &row(line), None)?;
                self.table = Table::Delimiter;
            }
        }
        Ok(true)
    }

    fn end_paragraph(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.paragraph);
        self.blocks.push(BlockKind::Paragraph, &text, None)
    }

    fn end_fence(&mut self) -> Result<()> {
        match self.fence.take() {
            Some((_, code)) => self.blocks.push(BlockKind::Code, &code, None),
            None => Ok(()),
        }
    }
}

/// A line without the marks of a quotation.
fn strip_quote(line: &str) -> &str {
    let start = line.trim_start_matches(' ');
    if start.starts_with('>') { start.trim_start_matches(['>', ' ']) } else { line }
}

/// The fence of a line that opens a block of code: at least three backticks or tildes.
fn opening_fence(line: &str) -> Option<String> {
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let length = line.chars().take_while(|&c| c == sign).count();
    let is_inline = sign == '`' && line[length..].contains('`');
    (length >= 3 && !is_inline).then(|| line[..length].to_owned())
}

fn atx_heading(line: &str) -> Option<(u8, &str)> {
    let level = line.bytes().take_while(|&byte| byte == b'#').count();
    let text = &line[level..];
    let is_heading = (1..=6).contains(&level) && (text.is_empty() || text.starts_with([' ', '\t']));
    // Some writers close the line with marks again; a heading `C#` is not closed.
    let unclosed = text.trim_end_matches('#');
    let text = if unclosed.ends_with([' ', '\t']) { unclosed } else { text };
    is_heading.then(|| (level as u8, text.trim()))
}

/// The level of a heading that is underlined by this line.
fn setext_level(line: &str) -> Option<u8> {
    match line.as_bytes() {
        bytes if bytes.iter().all(|&byte| byte == b'=') => Some(1),
        bytes if bytes.len() > 1 && bytes.iter().all(|&byte| byte == b'-') => Some(2),
        _ => None,
    }
}

/// Whether a line is a rule across the page: three or more of one sign.
fn is_rule(line: &str) -> bool {
    let mut signs = line.chars().filter(|c| !c.is_whitespace());
    let first = signs.next().filter(|sign| matches!(sign, '-' | '*' | '_'));
    first.is_some_and(|first| signs.clone().count() >= 2 && signs.all(|c| c == first))
}

/// Whether a line only says where a reference points: `[label]: address`.
fn is_link_definition(line: &str) -> bool {
    let label = line.strip_prefix('[').filter(|rest| !rest.starts_with('^'));
    label.and_then(|rest| rest.split_once("]:")).is_some_and(|(label, _)| !label.contains(['[', ']']))
}

fn is_delimiter_row(line: &str) -> bool {
    line.contains('-') && line.contains('|') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// The cells of a table row. An escaped bar belongs to its cell.
fn row(line: &str) -> String {
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').filter(|line| !line.ends_with('\\')).unwrap_or(line);
    let cells = line.replace("\\|", "\u{0}");
    let cells: Vec<String> = cells.split('|').map(|cell| plain(cell.trim()).replace('\u{0}', "|")).collect();
    if cells.iter().all(String::is_empty) { String::new() } else { cells.join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        let found = read(source.as_bytes(), &ExtractLimits::new(1, 10_000)).unwrap();
        found.blocks.iter().map(|block| format!("{:?} {}", block.kind, block.text)).collect()
    }

    #[test]
    fn reads_structure() {
        let source = "---\ntitle: \"Staff handbook\"\n---\n# Leave #\n\nThe *year*\nstarts in April.\n\n- one\n- two\n\nPay\n---\n\
            | Grade | Days |\n|---|--:|\n| A \\| B | `25` |\n\n```rust\n# no heading\n  fn main() {}\n```\n> quoted\n\n[ref]: https://example.org\n";
        assert_eq!(
            lines(source),
            [
                "Heading(1) Leave",
                "Paragraph The year\nstarts in April.",
                "Paragraph - one\n- two",
                "Heading(2) Pay",
                "TableHeader Grade | Days",
                "TableRow A | B | 25",
                "Code # no heading\n  fn main() {}",
                "Paragraph quoted",
            ]
        );
        let found = read(source.as_bytes(), &ExtractLimits::new(1, 10_000)).unwrap();
        assert_eq!(found.title.as_deref(), Some("Staff handbook"));
    }

    #[test]
    fn keeps_what_only_looks_like_markup() {
        assert_eq!(lines("---\nnot closed"), ["Paragraph not closed"]);
        assert_eq!(lines("#hashtag\n\na | b\n"), ["Paragraph #hashtag", "Paragraph a | b"]);
        assert_eq!(lines("```\nnever closed"), ["Code never closed"]);
    }
}
