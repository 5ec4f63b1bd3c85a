//! A report as a page that loads nothing and runs nothing, with links from the answer to its passages.

use super::markup::escaped;
use super::{Piece, Report};
use crate::chat::CitedPassage;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
                     blockquote{margin:.5rem 0 1.5rem;padding:.25rem 1rem;border-left:3px solid #888;white-space:pre-wrap}\
                     h3{margin-bottom:0}p.place{margin:0;color:#555}@media print{body{margin:0}}";

/// Writes the report.
pub(super) fn write(report: &Report<'_>) -> String {
    let title = escaped(report.title);
    let mut text = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{}</p>\n",
        report.made.format("%Y-%m-%d %H:%M UTC")
    );
    if let Some(question) = report.question {
        text += &format!("<h2>{}</h2>\n<p>", escaped(question));
        for piece in &report.answer {
            match piece {
                Piece::Text(words) => text += &escaped(words).replace("\n\n", "</p>\n<p>").replace('\n', "<br>\n"),
                Piece::Cite(number) => text += &format!(" <a href=\"#passage-{number}\">[{number}]</a>"),
            }
        }
        text += "</p>\n";
    }
    text += "<h2>Passages</h2>\n";
    report.passages.iter().for_each(|cited| passage(cited, &mut text));
    text + "</body></html>\n"
}

fn passage(CitedPassage { number, passage }: &CitedPassage, text: &mut String) {
    *text += &format!("<h3 id=\"passage-{number}\">[{number}] {}</h3>\n", escaped(&passage.source()));
    if !passage.heading_path.is_empty() {
        *text += &format!("<p class=\"place\">{}</p>\n", escaped(&passage.heading_path.join(" › ")));
    }
    *text += &format!("<blockquote>{}</blockquote>\n", escaped(passage.text.trim_end()));
}
