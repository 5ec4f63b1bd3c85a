//! A report as Markdown. Passages stand in fences, so that nothing in them is rendered; the words of the answer have been
//! through the filter of every answer.

use super::markup::visible;
use super::{Piece, Report};
use crate::chat::CitedPassage;

/// Writes the report.
pub(super) fn write(report: &Report<'_>) -> String {
    let mut text = format!("# {}\n\n{}\n", line(report.title), report.made.format("%Y-%m-%d %H:%M UTC"));
    if let Some(question) = report.question {
        text += &format!("\n## {}\n\n", line(question));
        for piece in &report.answer {
            match piece {
                Piece::Text(words) => text += &visible(words).replace('<', "&lt;"),
                Piece::Cite(number) => text += &format!(" \\[{number}\\]"),
            }
        }
        text.push('\n');
    }
    text += "\n## Passages\n";
    report.passages.iter().for_each(|cited| passage(cited, &mut text));
    text
}

fn passage(CitedPassage { number, passage }: &CitedPassage, text: &mut String) {
    *text += &format!("\n### \\[{number}\\] {}\n\n", line(&passage.source()));
    if !passage.heading_path.is_empty() {
        *text += &format!("{}\n\n", line(&passage.heading_path.join(" › ")));
    }
    let words = visible(&passage.text);
    let fence = "`".repeat(longest_run(&words).max(2) + 1);
    *text += &format!("{fence}text\n{}\n{fence}\n", words.trim_end());
}

/// One line in which every sign that Markdown knows stands for itself.
fn line(text: &str) -> String {
    let mut out = String::new();
    for c in visible(text).chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            _ if c.is_ascii_punctuation() && !matches!(c, '-' | ',' | '/' | '\'') => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// The most backticks that follow each other.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
