//! Source code and settings, as text that keeps its lines. A file is cut at empty lines before something that begins at the
//! margin, which is where functions and sections begin in every language; each piece knows its lines.

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::{BlockKind, ExtractLimits, Extracted, Fit, Format, text};

/// Whatever programmers write, by its extension.
pub const FORMAT: Format = Format {
    name: "source code",
    extensions: &[
        "rs",
        "py",
        "js",
        "mjs",
        "cjs",
        "jsx",
        "ts",
        "tsx",
        "java",
        "kt",
        "scala",
        "groovy",
        "c",
        "h",
        "cc",
        "cpp",
        "cxx",
        "hpp",
        "cs",
        "fs",
        "vb",
        "go",
        "rb",
        "php",
        "pl",
        "lua",
        "r",
        "jl",
        "swift",
        "dart",
        "ex",
        "exs",
        "erl",
        "hs",
        "clj",
        "sh",
        "bash",
        "zsh",
        "fish",
        "ps1",
        "bat",
        "cmd",
        "sql",
        "yaml",
        "yml",
        "toml",
        "ini",
        "cfg",
        "conf",
        "properties",
        "env",
        "css",
        "scss",
        "less",
        "vue",
        "svelte",
        "proto",
        "graphql",
        "tf",
        "bicep",
        "gradle",
        "cmake",
        "dockerfile",
    ],
    sniff: |bytes| if text::is_text(bytes) { Fit::Possible } else { Fit::No },
    read,
};

/// A piece without an empty line in it is cut here, between two lines.
const MOST_LINES: usize = 60;

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let source = text::decode(bytes)?;
    let mut blocks = Blocks::new(limits);
    let mut piece: Vec<&str> = Vec::new();
    let mut first_line = 1;
    for (line, number) in source.lines().zip(1..) {
        let follows_gap = piece.last().is_some_and(|last| last.trim().is_empty());
        if (follows_gap && begins_something(line)) || piece.len() >= MOST_LINES {
            push(&mut blocks, &piece, first_line)?;
            piece.clear();
        }
        if piece.is_empty() {
            first_line = number;
        }
        piece.push(line);
    }
    push(&mut blocks, &piece, first_line)?;
    Ok(blocks.finish(None, None))
}

/// Whether a line begins at the margin, with more than the bracket that ends something.
fn begins_something(line: &str) -> bool {
    line.starts_with(|c: char| !c.is_whitespace() && !matches!(c, '}' | ')' | ']'))
}

fn push(blocks: &mut Blocks, piece: &[&str], first_line: usize) -> Result<()> {
    let is_blank = |line: &&&str| line.trim().is_empty();
    let num_before = piece.iter().take_while(is_blank).count();
    let num_after = piece.iter().rev().take_while(is_blank).count();
    let Some(last) = (piece.len() - num_after).checked_sub(1).filter(|last| *last >= num_before) else { return Ok(()) };
    let place = format!("lines={}-{}", first_line + num_before, first_line + last);
    blocks.push_at(BlockKind::Code, &piece.join("\n"), &place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_empty_lines_before_the_margin() {
        let source = b"\nuse a;\n\nfn one() {\n    let x = 1;\n\n    x\n}\n\n\nfn two() {}\n";
        let found = read(source, &ExtractLimits::new(1, 1000)).unwrap();
        let blocks: Vec<_> =
            found.blocks.iter().map(|block| (block.place.as_deref().unwrap(), block.text.as_str())).collect();
        assert_eq!(
            blocks,
            [
                ("lines=2-2", "use a;"),
                ("lines=4-8", "fn one() {\n    let x = 1;\n\n    x\n}"),
                ("lines=11-11", "fn two() {}"),
            ]
        );
    }

    #[test]
    fn cuts_long_pieces_between_lines() {
        let found = read("a = 1\n".repeat(130).as_bytes(), &ExtractLimits::new(1, 10_000)).unwrap();
        let places: Vec<_> = found.blocks.iter().filter_map(|block| block.place.as_deref()).collect();
        assert_eq!(places, ["lines=1-60", "lines=61-120", "lines=121-130"]);
    }
}
