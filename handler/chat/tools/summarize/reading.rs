//! A document read by a model: in parts that fit it, several at once, and then put together from the notes on them. What enters
//! are passages, what leaves are notes that hold. A part that the model does not read in time is left out, and said to be.

use std::fmt::Write;

use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::warn;

use super::notes::{NoteChecker, number_of};
use super::{Note, Section};
use crate::chat::budget::{cost, cut};
use crate::chat::neighbours::new_words;
use crate::chat::prompt::{random_code, written};
use crate::chat::{Chat, ChatSettings};
use crate::document::Passage;
use crate::error::Result;
use crate::models::openai::OpenAiModel;
use crate::models::{Message, ModelRequest, Speaker, Usage, Whole};
use crate::telemetry::{calls, one_line};
use crate::tokens::estimate;

/// The instructions; `{code}` stands for the random mark.
const SYSTEM: &str = include_str!("../../prompts/summarize.txt");
/// Parts that are read at once.
const AT_ONCE: usize = 3;
/// Parts of one document; passages of one that has more are cut short.
const MOST_PARTS: usize = 12;
/// Tokens of the notes on a part.
const NOTES_TOKENS: u32 = 700;
/// Tokens of a part, however much the model takes: what is in the middle of more is passed over.
const PART_TOKENS: usize = 6_000;

/// What came of reading.
pub(super) struct Read {
    pub(super) notes: Vec<Note>,
    pub(super) is_whole: bool,
    pub(super) usage: Option<Usage>,
}

/// Reads passages. None when the model did not read any of them.
pub(super) async fn read(chat: &Chat, model: &OpenAiModel, passages: &[Passage], deadline: Instant) -> Option<Read> {
    let (parts, is_cut) = parts(passages, &chat.settings);
    let index = chat.retriever.index();
    let analyze = |text: &str| index.terms(text);
    let checker = NoteChecker::new(passages, &analyze, &chat.settings);
    // The last part of the time is for putting the notes together.
    let left = deadline.saturating_duration_since(Instant::now());
    let reading_ends = if parts.len() > 1 { deadline - left / 3 } else { deadline };
    let asked: Vec<_> = parts.iter().map(|part| ask(model, text_of(part), reading_ends)).collect();
    let said: Vec<Result<Whole>> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let (mut notes, mut usage, mut unread) = (Vec::new(), None, 0);
    for said in said {
        match said {
            Ok(whole) => {
                usage = add(usage, whole.usage);
                notes.extend(checker.notes(&whole.text));
            }
            Err(e) => {
                unread += 1;
                warn!(error.code = e.kind().row().code, cause = %one_line(&e.chain()), "a part of a document was not read");
            }
        }
    }
    if unread == parts.len() || notes.is_empty() {
        return None;
    }
    if parts.len() > 1 {
        let together = ask(model, text_of_notes(&notes), deadline).await;
        if let Ok(whole) = together {
            usage = add(usage, whole.usage);
            let joined = checker.notes(&whole.text);
            notes = if joined.is_empty() { notes } else { joined };
        }
    }
    Some(Read { notes: in_order(notes), is_whole: unread == 0 && !is_cut, usage })
}

/// The passages of each part with their words, and whether any had to be cut short.
fn parts<'a>(passages: &'a [Passage], settings: &ChatSettings) -> (Vec<Vec<(&'a Passage, String)>>, bool) {
    let taken = estimate(SYSTEM) + NOTES_TOKENS as usize + 100;
    let room = settings.context_tokens.saturating_sub(taken).clamp(500, PART_TOKENS);
    let all: usize = passages.iter().map(cost).sum();
    // Each part may end short of what would not fit into it.
    let most = room * MOST_PARTS * 9 / 10;
    let mut parts: Vec<Vec<(&Passage, String)>> = Vec::new();
    let mut left = 0;
    let mut before: Option<&Passage> = None;
    for passage in passages {
        let new = before.map_or(passage.text.trim(), |before| new_words(before.text.trim(), passage.text.trim()));
        before = Some(passage);
        let frame = cost(passage) - estimate(&passage.text);
        let share = if all > most { (estimate(new) * most / all).saturating_sub(frame) } else { usize::MAX };
        let words = cut(new, share.min(room.saturating_sub(frame)));
        if words.is_empty() {
            continue;
        }
        let takes = frame + estimate(&words);
        if parts.is_empty() || takes > left && parts.len() < MOST_PARTS {
            parts.push(Vec::new());
            left = room;
        }
        if takes <= left
            && let Some(part) = parts.last_mut()
        {
            left -= takes;
            part.push((passage, words));
        }
    }
    (parts, all > most)
}

async fn ask(model: &OpenAiModel, text: String, deadline: Instant) -> Result<Whole> {
    let code = random_code();
    let messages = vec![
        Message::said(Speaker::System, SYSTEM.trim_end().replace("{code}", &code)),
        Message::said(Speaker::User, format!("material {code}\n{text}\nend of material {code}\n\nWrite the notes.")),
    ];
    let request = ModelRequest::of(messages, NOTES_TOKENS, deadline);
    calls::outside("model", "summarize").with_model(model.name()).run(model.whole(request)).await
}

fn text_of(part: &[(&Passage, String)]) -> String {
    let mut text = String::new();
    for (passage, words) in part {
        write!(text, "\n[{}] {}", number_of(passage), written(passage, words))
            .expect("writing to a string cannot fail");
    }
    text
}

/// Notes as material for the last reading, those of a section together.
fn text_of_notes(notes: &[Note]) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        writeln!(text, "\n{}", section.heading()).expect("writing to a string cannot fail");
        for note in notes.iter().filter(|note| note.section == section) {
            let numbers: String = note.ordinals.iter().map(|ordinal| format!("[{}]", ordinal + 1)).collect();
            writeln!(text, "- {} {numbers}", note.text).expect("writing to a string cannot fail");
        }
    }
    text
}

fn in_order(notes: Vec<Note>) -> Vec<Note> {
    let of = |section: Section| notes.iter().filter(move |note| note.section == section).cloned();
    Section::ALL.into_iter().flat_map(of).collect()
}

fn add(usage: Option<Usage>, more: Option<Usage>) -> Option<Usage> {
    more.map(|more| usage.unwrap_or_default().plus(more)).or(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::passage;

    fn document(passages: u32, words: usize) -> Vec<Passage> {
        (0..passages).map(|at| passage("a.pdf", at, "", &format!("start{at} {}", "word ".repeat(words)))).collect()
    }

    /// How many parts there are, how many passages are in them, and whether something was cut.
    fn check(passages: &[Passage], context_tokens: usize, expected: (usize, usize, bool)) {
        let settings = ChatSettings { context_tokens, ..ChatSettings::default() };
        let (parts, is_cut) = parts(passages, &settings);
        let within = |part: &Vec<(&Passage, String)>| estimate(&text_of(part)) <= context_tokens.max(2_000) - 700;
        assert!(parts.iter().all(within), "each part fits");
        assert_eq!((parts.len(), parts.iter().map(Vec::len).sum::<usize>(), is_cut), expected);
    }

    #[test]
    fn every_passage_is_in_a_part() {
        check(&document(5, 100), 8_000, (1, 5, false));
        check(&document(100, 250), 8_000, (5, 100, false));
        check(&document(1_000, 250), 8_000, (10, 1_000, true));
        check(&[], 8_000, (0, 0, false));
    }
}
