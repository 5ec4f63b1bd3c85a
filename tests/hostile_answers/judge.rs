//! Who reads Markdown, and what may come of it. What enters is an answer as it leaves the product, what leaves are the
//! sentences of readers that found a way out of it. Two readers are linked here, two are programs of npm.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use html5gum::{Token, Tokenizer};

/// The one host that links may lead to.
pub const HOST: &str = "docs.contoso.com";

/// What Markdown alone makes of an answer.
const TAGS: &[&str] = &[
    "p",
    "br",
    "hr",
    "a",
    "em",
    "strong",
    "del",
    "s",
    "code",
    "pre",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "input",
    "sup",
    "sub",
    "u",
    "mark",
    "ins",
    "section",
    "div",
    "span",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
];

/// What is wrong with an answer as it is, for clients that show it as plain text.
pub fn plainly(answer: &str) -> Option<String> {
    let is_bad = |c: &char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{e0000}'..='\u{e007f}')
    };
    answer.chars().find(is_bad).map(|c| format!("plain: U+{:04X}", u32::from(c)))
}

/// What the readers that are linked here found, each with few and with all of its extensions.
pub fn here(answer: &str) -> Option<String> {
    let mut plain = comrak::Options::default();
    plain.render.r#unsafe = true;
    let mut full = plain.clone();
    let extension = &mut full.extension;
    extension.strikethrough = true;
    extension.table = true;
    extension.autolink = true;
    extension.tasklist = true;
    extension.superscript = true;
    extension.footnotes = true;
    extension.description_lists = true;
    extension.math_dollars = true;
    extension.math_code = true;
    extension.wikilinks_title_after_pipe = true;
    extension.underline = true;
    extension.spoiler = true;
    extension.alerts = true;
    extension.multiline_block_quotes = true;
    full.parse.relaxed_autolinks = true;
    let pulldown = |options| {
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new_ext(answer, options));
        html
    };
    let read = [
        ("comrak", comrak::markdown_to_html(answer, &plain)),
        ("comrak with extensions", comrak::markdown_to_html(answer, &full)),
        ("pulldown-cmark", pulldown(pulldown_cmark::Options::empty())),
        ("pulldown-cmark with extensions", pulldown(pulldown_cmark::Options::all())),
    ];
    read.iter().find_map(|(reader, html)| way_out(html).map(|found| format!("{reader}: {found}")))
}

/// What markdown-it and marked make of answers, in order: each answer's pages.
pub fn of_npm(answers: &[String]) -> Vec<Vec<(String, String)>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    let mut node = Command::new("node")
        .arg(folder.join("render.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts; scripts/test installs it");
    let mut input = node.stdin.take().expect("a pipe was asked for");
    let lines: String = answers.iter().map(|answer| serde_json::json!(answer).to_string() + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = node.wait_with_output().expect("node can be waited for");
    writer.join().expect("writing does not panic").expect("node reads all of it");
    assert!(output.status.success(), "render.mjs failed");
    let pages = output.stdout.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    pages.map(|line| serde_json::from_slice(line).expect("a line of pages")).collect()
}

/// A tag or an address in a page that Markdown alone does not make, or that leads where nothing may.
pub fn way_out(html: &str) -> Option<String> {
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                if !TAGS.contains(&name.as_str()) {
                    return Some(format!("<{name}>"));
                }
                for (key, value) in &tag.attributes {
                    let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
                    if !is_harmless(&name, &key, &value) {
                        return Some(format!("<{name} {key}={value}>"));
                    }
                }
            }
            Token::Comment(_) | Token::Doctype(_) => return Some("a comment".to_owned()),
            _ => {}
        }
    }
    None
}

fn is_harmless(tag: &str, key: &str, value: &str) -> bool {
    match (tag, key) {
        ("a", "href") => value.starts_with('#') || leads_home(value),
        // An attribute without a value loads and runs nothing.
        _ if value.is_empty() => true,
        ("input", "type") => value == "checkbox",
        (_, "style") => value.starts_with("text-align"),
        (
            _,
            "class" | "id" | "align" | "start" | "checked" | "disabled" | "title" | "lang" | "aria-label"
            | "aria-hidden" | "role" | "rel",
        ) => true,
        _ => key.starts_with("data-"),
    }
}

fn leads_home(address: &str) -> bool {
    let address = url::Url::parse(address).ok();
    address.is_some_and(|address| matches!(address.scheme(), "http" | "https") && address.host_str() == Some(HOST))
}
