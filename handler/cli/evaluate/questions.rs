//! Questions with the page that answers each, asked of the product as it is. What enters is a file of JSON lines and the
//! wired parts, what leaves is a report: whether the right page was found, cited, quoted, and nothing made up.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde::Deserialize;

use super::report::{Report, Row};
use super::{IN_FLIGHT, elapsed_ms};
use crate::app::App;
use crate::chat::answer::answer;
use crate::chat::question::Question;
use crate::chat::{ChatEvent, ChatRequest, Done};
use crate::document::{Passage, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::index::evaluate::{Ranking, Relevance};
use crate::index::filter::Filter;

/// A question and where its answer stands.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Labelled {
    /// The question.
    pub question: String,
    /// The document that answers it; none when no document does.
    pub document: Option<String>,
    /// The page, where the document has pages.
    pub page: Option<u32>,
    /// Words that a right answer holds.
    pub answer_contains: Option<String>,
}

impl Labelled {
    /// Where the answer stands, in the form that answers cite.
    fn source(&self) -> Option<String> {
        let document = self.document.as_ref()?;
        Some(self.page.map_or_else(|| document.clone(), |page| format!("{document}#page={page}")))
    }
}

/// Reads questions, a JSON object a line.
pub fn read(path: &Path) -> Result<Vec<Labelled>> {
    let refused = |why: &str| Error::new(ErrorKind::InvalidRequest, format!("cannot use {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| refused("it cannot be read").caused_by(e))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let questions = lines.map(|(line, number)| {
        serde_json::from_str(line)
            .map_err(|e| refused(&format!("line {number} is not a question with its page")).caused_by(e))
    });
    let questions: Vec<Labelled> = questions.collect::<Result<_>>()?;
    if questions.is_empty() { Err(refused("there is no question in it")) } else { Ok(questions) }
}

/// Asks every question and compares. A model that fails is noted in the row of its question; a search that fails ends it.
pub async fn evaluate(app: &App, questions: &[Labelled], top: usize, bar: &ProgressBar) -> Result<Report> {
    let status = app.index.status().await?;
    if status.documents == 0 {
        let sentence =
            "there is nothing in the index to ask; ingest documents first, or name their folder (--documents)";
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    bar.set_length(questions.len() as u64);
    bar.set_message("asking");
    let began = Instant::now();
    let rows = futures_util::stream::iter(questions).map(async |labelled| {
        let row = ask(app, labelled, top).await;
        bar.inc(1);
        row
    });
    let rows = rows.buffered(IN_FLIGHT).try_collect().await?;
    Ok(Report {
        documents: status.documents,
        passages: status.passages,
        retrieval: app.retriever.describe(),
        top,
        model: Some(app.chat.model.name().to_owned()),
        index_ms: 0,
        ask_ms: elapsed_ms(began),
        rows,
    })
}

async fn ask(app: &App, labelled: &Labelled, top: usize) -> Result<Row> {
    let mut row = Row { query: labelled.question.clone(), expected: labelled.source(), ..Row::default() };
    if let Some(source) = &row.expected {
        let ranking = rank(app, labelled, top).await?;
        let relevance: Relevance = [(source.clone(), 1)].into();
        row = row.ranked(&ranking, &relevance);
    }
    let question = Question::parse(&labelled.question, app.config.max_message_chars)?;
    match say(app, question).await {
        Ok((text, done)) => {
            let is_answerable = labelled.document.is_some();
            row.cited = is_answerable.then(|| done.citations.iter().any(|citation| is_right(labelled, citation)));
            let expected = labelled.answer_contains.as_ref().filter(|_| is_answerable);
            row.answered = expected.map(|expected| flat(&text).contains(&flat(expected)));
            row.abstained = Some(done.abstained);
            row.answer = Some(text);
        }
        Err(e) => {
            let missed = labelled.document.as_ref().map(|_| false);
            row.cited = missed;
            row.answered = missed.filter(|_| labelled.answer_contains.is_some());
            // It did not say that nobody knows, and it did not refuse to say what somebody knows.
            row.abstained = Some(false);
            row.error = Some(e.kind().row().code);
        }
    }
    Ok(row)
}

/// Sources, best first, as finely told apart as the label: pages when it names one, else whole documents.
async fn rank(app: &App, labelled: &Labelled, top: usize) -> Result<Ranking> {
    let (found, retrieval) =
        app.retriever.search(&Principal::anonymous(), &labelled.question, &Filter::default(), top).await?;
    if retrieval != app.retriever.retrieval() {
        let sentence = "a question was not searched as the settings say, because a model did not answer";
        return Err(Error::new(ErrorKind::ModelFailed, sentence));
    }
    let source = |passage: &Passage| if labelled.page.is_some() { passage.source() } else { passage.name.to_string() };
    Ok(Ranking::best_first(found.hits.iter().map(|hit| source(&hit.passage))))
}

/// The answer's words without its citations, and how it ended.
async fn say(app: &App, question: Question) -> Result<(String, Done)> {
    let mut events = Box::pin(answer(Arc::clone(&app.chat), Principal::anonymous(), ChatRequest::of(question)));
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event? {
            ChatEvent::Text(words) => text.push_str(&words),
            ChatEvent::Done(done) => return Ok((text, done)),
            _ => {}
        }
    }
    Err(Error::new(ErrorKind::ModelFailed, "the answer did not end"))
}

fn is_right(labelled: &Labelled, citation: &crate::chat::Citation) -> bool {
    let is_document = labelled.document.as_deref() == Some(citation.name.as_str());
    is_document && labelled.page.is_none_or(|page| citation.page == Some(page))
}

/// White space evened out, because an answer may break lines where the label does not.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
