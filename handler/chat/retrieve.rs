//! From a question to numbered passages. What enters is a principal and a request, what leaves is the context of the
//! answer with the question's weighted terms. It always searches as somebody.

use crate::chat::evidence::{QuestionTerms, question_terms};
use crate::chat::retriever::Retriever;
use crate::chat::{ChatRequest, ChatSettings, CitedPassage, Context, Role};
use crate::document::Principal;
use crate::error::Result;
use crate::index::Index;

/// A question with at most this many telling words leans on the one before it.
const LEANING_TERMS: usize = 2;

/// What was found, and what to measure it by.
#[derive(Clone, Debug)]
pub struct Retrieved {
    /// The passages, numbered, with what was searched for.
    pub context: Context,
    /// The terms of the question and what each is worth.
    pub terms: QuestionTerms,
    /// How alike the question and the passage most like it are in meaning, as the cosine of their embeddings. None without
    /// embeddings.
    pub similarity: Option<f32>,
}

/// Searches for a question as `principal`; in the words of a model, if it has put the question into others.
pub async fn retrieve(
    retriever: &Retriever,
    principal: &Principal,
    request: &ChatRequest,
    rewritten: Option<&str>,
    settings: &ChatSettings,
) -> Result<Retrieved> {
    let question = request.question.as_str();
    let index = retriever.index();
    let (text, question_start) = match rewritten {
        Some(rewritten) => (rewritten.to_owned(), 0),
        None => query_text(request, |question| evidence_terms_of(index, question)),
    };
    let limit = request.passages.unwrap_or(settings.passages);
    let (found, retrieval) = retriever.search(principal, &text, &request.filter, limit).await?;
    let terms = question_terms(&text, question_start, &index.analyze(&text), &found.terms);
    let similarity = found.hits.iter().filter_map(|hit| hit.cosine).reduce(f32::max);
    let numbered = found.hits.into_iter().take(limit).enumerate();
    let passages = numbered.map(|(at, hit)| CitedPassage { number: at + 1, passage: hit.passage }).collect();
    let is_rewritten = rewritten.is_some_and(|rewritten| rewritten != question);
    let context = Context { passages, generation: found.generation, query: text, is_rewritten, retrieval };
    Ok(Retrieved { context, terms, similarity })
}

fn evidence_terms_of(index: &Index, question: &str) -> usize {
    question_terms(question, 0, &index.analyze(question), &[]).num_telling
}

/// What to search for, and where in it the question itself starts. A question that leans on the one before it, as "and in
/// Norway?" does, is searched together with it.
fn query_text(request: &ChatRequest, num_telling: impl Fn(&str) -> usize) -> (String, usize) {
    let question = request.question.as_str();
    let last = request.history.iter().rev().find(|turn| turn.role == Role::User).map(|turn| turn.text.trim());
    match last {
        Some(last) if !last.is_empty() && num_telling(question) <= LEANING_TERMS => {
            let earlier: String = last.chars().take(question_chars(last)).collect();
            (format!("{earlier}\n{question}"), earlier.len() + 1)
        }
        _ => (question.to_owned(), 0),
    }
}

/// How much of an earlier turn is searched: a pasted letter is not a question.
fn question_chars(text: &str) -> usize {
    text.chars().count().min(500)
}
