//! The action `generate_report`: a file made of what its reader may read, with where each part is from. What enters are a
//! principal and a question or some documents, what leaves is a file; it is kept for whoever let it be made, and for nobody
//! else. Without a question it holds the documents' passages, with one the answer, too.

mod docx;
mod html;
mod kept;
mod markdown;
mod markup;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::kept::{Kept, Reports};
use super::parameters::{line, read};
use crate::chat::answer::answer;
use crate::chat::filter::document;
use crate::chat::question::Question;
use crate::chat::{Chat, ChatEvent, ChatRequest, CitedPassage};
use crate::document::{DocumentId, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::filter::Filter;

/// Documents that a report may be told to use.
const MOST_DOCUMENTS: usize = 50;
/// Passages of a report that answers no question.
const MOST_PASSAGES: usize = 500;

/// What kind of file a report is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with marks.
    #[default]
    Markdown,
    /// A page that loads nothing.
    Html,
    /// For word processors.
    Docx,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Markdown, Self::Html, Self::Docx];

    /// Its name, and what a file of it is called after its last dot.
    pub fn name_and_extension(self) -> (&'static str, &'static str) {
        match self {
            Self::Markdown => ("markdown", "md"),
            Self::Html => ("html", "html"),
            Self::Docx => ("docx", "docx"),
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        }
    }

    /// The format with a name.
    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name_and_extension().0 == name)
    }
}

/// A report that somebody wants.
#[derive(Debug)]
pub(super) struct ReportWanted {
    title: String,
    question: Option<Question>,
    /// What may be meant by the names and ids that were given; one of them may be two documents.
    documents: Vec<Vec<DocumentId>>,
    format: Format,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport {
    title: String,
    query: Option<String>,
    #[serde(default)]
    documents: Vec<String>,
    #[serde(default)]
    format: Format,
}

impl ReportWanted {
    pub(super) fn parse(raw: &Value, question_chars: usize) -> Result<Self> {
        let example = "generate_report takes {\"title\": \"…\", \"query\": \"…\" or \"documents\": [names or ids] or both} \
                       and, if wanted, \"format\": \"markdown\", \"html\" or \"docx\"";
        let RawReport { title, query, documents, format } = read(raw, example)?;
        line(&title, "title")?;
        let question = query.map(|query| Question::parse(&query, question_chars)).transpose()?;
        if documents.len() > MOST_DOCUMENTS {
            let sentence = format!("`documents` names at most {MOST_DOCUMENTS} documents");
            return Err(Error::new(ErrorKind::InvalidRequest, sentence));
        }
        if question.is_none() && documents.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, example));
        }
        let documents = documents.iter().map(|raw| document(raw)).collect::<Result<_>>()?;
        Ok(Self { title, question, documents, format })
    }

    pub(super) fn summary(&self) -> String {
        let made_of = match (&self.question, self.documents.len()) {
            (Some(question), 0) => format!("answers “{}”", question.as_str()),
            (Some(question), count) => format!("answers “{}” from {count} document(s)", question.as_str()),
            (None, count) => format!("holds the passages of {count} document(s)"),
        };
        let (name, _) = self.format.name_and_extension();
        format!(
            "Write the report “{}” as {name} that {made_of}, from what you may read, and keep it for you.",
            self.title
        )
    }
}

/// A finished file.
#[derive(Debug)]
pub(super) struct ReportFile {
    title: String,
    format: Format,
    passages: usize,
    /// What the model charged for the answer, where it said so.
    tokens: Option<u64>,
    bytes: Vec<u8>,
}

/// What is in a report, whatever its format.
struct Report<'a> {
    title: &'a str,
    made: DateTime<Utc>,
    question: Option<&'a str>,
    /// The answer, with numbers where it cites.
    answer: Vec<Piece>,
    passages: Vec<CitedPassage>,
}

/// A part of an answer.
enum Piece {
    Text(String),
    /// Cites the passage with this number.
    Cite(usize),
}

/// Makes the file from what `principal` may read now. `NotFound` when that is nothing.
pub(super) async fn make(
    chat: &Arc<Chat>,
    principal: &Principal,
    wanted: &ReportWanted,
    now: DateTime<Utc>,
) -> Result<ReportFile> {
    let (answer, passages, tokens) = match &wanted.question {
        Some(question) => answered(chat, principal, question, wanted).await?,
        None => (Vec::new(), whole(chat, principal, wanted).await?, None),
    };
    if passages.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is nothing that you may read to make this report of"));
    }
    let (title, count) = (wanted.title.as_str(), passages.len());
    let question = wanted.question.as_ref().map(Question::as_str);
    let report = Report { title, made: now, question, answer, passages };
    let bytes = match wanted.format {
        Format::Markdown => markdown::write(&report).into_bytes(),
        Format::Html => html::write(&report).into_bytes(),
        Format::Docx => docx::write(&report)?,
    };
    Ok(ReportFile { title: wanted.title.clone(), format: wanted.format, passages: count, tokens, bytes })
}

/// The answer to the question with its passages, in the way in which every question is answered.
async fn answered(
    chat: &Arc<Chat>,
    principal: &Principal,
    question: &Question,
    wanted: &ReportWanted,
) -> Result<(Vec<Piece>, Vec<CitedPassage>, Option<u64>)> {
    let filter = Filter { documents: wanted.documents.concat(), ..Filter::default() };
    let request = ChatRequest { filter, may_propose: false, ..ChatRequest::of(question.clone()) };
    let (mut pieces, mut passages, mut tokens) = (Vec::new(), Vec::new(), None);
    let mut events = std::pin::pin!(answer(Arc::clone(chat), principal.clone(), request));
    while let Some(event) = events.next().await {
        match event? {
            ChatEvent::Context(context) | ChatEvent::FoundMore(context) => passages = context.passages,
            ChatEvent::Text(text) => match pieces.last_mut() {
                Some(Piece::Text(before)) => before.push_str(&text),
                _ => pieces.push(Piece::Text(text)),
            },
            ChatEvent::Citation(citation) => pieces.push(Piece::Cite(citation.number)),
            ChatEvent::Usage(spent) => {
                tokens = Some(u64::from(spent.prompt_tokens) + u64::from(spent.completion_tokens))
            }
            _ => {}
        }
    }
    Ok((pieces, passages, tokens))
}

/// All passages of the documents, in their order.
async fn whole(chat: &Chat, principal: &Principal, wanted: &ReportWanted) -> Result<Vec<CitedPassage>> {
    let mut all = Vec::new();
    for ids in &wanted.documents {
        for id in ids {
            all.extend(chat.retriever.index().passages(principal, id).await?);
        }
    }
    if all.len() > MOST_PASSAGES {
        let sentence =
            format!("these documents have more than {MOST_PASSAGES} passages: name fewer, or ask a question");
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    let numbered = all.into_iter().enumerate();
    Ok(numbered.map(|(at, passage)| CitedPassage { number: at + 1, passage: Arc::new(passage) }).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;
    use crate::document::{DocumentName, Passage};

    const HOSTILE: &str = "```\n![x](https://evil.test/?q)\u{202e}<script>alert(1)</script>\u{0} & \"so\"";

    fn report() -> Report<'static> {
        let name = DocumentName::parse("a/<b>.md").expect("a name");
        let document_id = DocumentId::of(&name);
        let passage = Passage {
            id: Passage::id_of(&document_id, 0),
            document_id,
            name,
            title: "T".to_owned(),
            ordinal: 0,
            page: Some(3),
            place: None,
            heading_path: vec!["<i>Deep</i>".to_owned()],
            text: HOSTILE.to_owned(),
        };
        Report {
            title: "A [title](https://evil.test) <b>",
            made: DateTime::from_timestamp(1_777_000_000, 0).expect("a time"),
            question: Some("What *now*?"),
            answer: vec![Piece::Text("It says so <u>".to_owned()), Piece::Cite(1), Piece::Text(".\n\nEnd.".to_owned())],
            passages: vec![CitedPassage { number: 1, passage: Arc::new(passage) }],
        }
    }

    #[test]
    fn nothing_in_a_report_is_alive() {
        let html = html::write(&report());
        assert!(!html.contains("<script") && !html.contains("<u>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("href=\"#passage-1\"") && html.contains("id=\"passage-1\""), "{html}");
        let markdown = markdown::write(&report());
        let mut rendered = String::new();
        pulldown_cmark::html::push_html(&mut rendered, pulldown_cmark::Parser::new(&markdown));
        assert!(
            !rendered.contains("<img") && !rendered.contains("href=") && !rendered.contains("<script"),
            "{rendered}"
        );
        assert!(rendered.contains("![x](https://evil.test/?q)") && rendered.contains("[1]"), "{rendered}");
        for text in [&html, &markdown] {
            assert!(!text.contains(['\u{202e}', '\u{0}']), "{text}");
        }
    }

    #[test]
    fn a_docx_has_all_its_parts() {
        let bytes = docx::write(&report()).expect("a report");
        let mut package = zip::ZipArchive::new(Cursor::new(bytes)).expect("a package");
        for name in ["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/styles.xml", "docProps/core.xml"]
        {
            let mut text = String::new();
            package.by_name(name).expect(name).read_to_string(&mut text).expect("text");
            assert!(!text.contains("<script") && !text.contains('\u{0}'), "{text}");
        }
    }
}
