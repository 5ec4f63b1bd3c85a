//! What fits into one call of a model. What enters are a request with its passages, what leaves is as much of its history and
//! as many of its passages as there is room for: the oldest words and the weakest passages go first. All is counted in
//! estimated tokens (`tokens.rs`), which are good to about a fifth.

use std::sync::Arc;

use crate::chat::{ChatRequest, ChatSettings, CitedPassage, Role, Turn};
use crate::document::Passage;
use crate::tokens::estimate;

/// History gets at most this part of the room, so that a long conversation leaves room for what it is about.
const HISTORY_PART: usize = 4;
/// What the frame of a passage takes: its number, line breaks and the words before its title and headings.
const FRAME_TOKENS: usize = 10;

/// The room that is left for history and passages beside `fixed` tokens of instructions and question.
pub fn room(settings: &ChatSettings, fixed: usize) -> usize {
    let answer = usize::try_from(settings.max_answer_tokens).unwrap_or(usize::MAX);
    settings.context_tokens.saturating_sub(fixed.saturating_add(answer))
}

/// The history that is shown when there is room for so much.
pub fn history<'a>(request: &'a ChatRequest, settings: &ChatSettings, room: usize) -> &'a [Turn] {
    recent(&request.history, settings.history_turns, settings.history_tokens.min(room / HISTORY_PART))
}

/// Drops the last passages, which are the weakest, until the others have room beside this history. The best one stays, cut
/// short if it must be. What leaves is the tokens of both.
pub fn fit(passages: &mut Vec<CitedPassage>, history: &[Turn], room: usize) -> usize {
    let mut taken: usize = history.iter().map(|turn| estimate(&turn.text)).sum();
    let mut kept = 0;
    while let Some(cost) = passages.get(kept).map(|cited| cost(&cited.passage)).filter(|cost| taken + cost <= room) {
        taken += cost;
        kept += 1;
    }
    if kept == 0
        && let Some(best) = passages.first_mut()
    {
        let frame = cost(&best.passage) - estimate(&best.passage.text);
        let text = cut(&best.passage.text, room.saturating_sub(taken + frame));
        taken += frame + estimate(&text);
        Arc::make_mut(&mut best.passage).text = text;
        kept = 1;
    }
    passages.truncate(kept);
    taken
}

/// The tokens of a passage as it stands in a prompt.
pub fn cost(passage: &Passage) -> usize {
    let frame = estimate(&passage.source()) + estimate(&passage.title) + estimate(&passage.heading_path.join(" > "));
    FRAME_TOKENS + frame + estimate(&passage.text)
}

/// The beginning of a text that has at most so many tokens, up to the end of a word.
pub fn cut(text: &str, tokens: usize) -> String {
    let mut end = 0;
    let mut used = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        used += estimate(word);
        if used > tokens {
            break;
        }
        end += word.len();
    }
    text[..end].trim_end().to_owned()
}

/// The latest turns that fit, from a turn of the person on.
pub fn recent(history: &[Turn], turns: usize, tokens: usize) -> &[Turn] {
    let mut left = tokens;
    let mut start = history.len();
    while start > 0 && history.len() - start < turns {
        let cost = estimate(&history[start - 1].text);
        if cost > left {
            break;
        }
        left -= cost;
        start -= 1;
    }
    let opening = history[start..].iter().position(|turn| turn.role == Role::User);
    opening.map_or(&[], |opening| &history[start + opening..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::question::Question;
    use crate::models::fixture::passage;

    fn request(history: &[(Role, &str)]) -> ChatRequest {
        let history = history.iter().map(|(role, text)| Turn { role: *role, text: (*text).to_owned() }).collect();
        ChatRequest { history, ..ChatRequest::of(Question::parse("How long?", 100).expect("a question")) }
    }

    fn check_history(history: &[(Role, &str)], turns: usize, tokens: usize, expected: &[&str]) {
        let request = request(history);
        let kept: Vec<&str> = recent(&request.history, turns, tokens).iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn keeps_the_latest_turns_within_the_budget() {
        use Role::{Assistant, User};
        let history = [(User, "aaaa"), (Assistant, "bbbb"), (User, "cccc"), (Assistant, "dddd")];
        check_history(&history, 10, 100, &["aaaa", "bbbb", "cccc", "dddd"]);
        check_history(&history, 3, 100, &["cccc", "dddd"]);
        check_history(&history, 10, 2, &["cccc", "dddd"]);
        check_history(&history, 10, 1, &[]);
        check_history(&[], 10, 100, &[]);
    }

    /// The number of passages that are kept of six with about 60 tokens each, and the tokens of all together.
    fn kept(context_tokens: usize, history: &[(Role, &str)]) -> (usize, usize) {
        let settings = ChatSettings { context_tokens, max_answer_tokens: 100, ..ChatSettings::default() };
        let request = request(history);
        let mut passages: Vec<CitedPassage> = (0..6)
            .map(|at| CitedPassage { number: at + 1, passage: passage("a.txt", 0, "", &"word ".repeat(50)).into() })
            .collect();
        let room = room(&settings, 204);
        let history = super::history(&request, &settings, room);
        let taken = fit(&mut passages, history, room);
        let words: usize = history.iter().map(|turn| estimate(&turn.text)).sum();
        assert_eq!(taken, words + passages.iter().map(|cited| cost(&cited.passage)).sum::<usize>());
        (passages.len(), 304 + taken)
    }

    #[test]
    fn the_weakest_passages_and_the_oldest_words_go_first() {
        let long = "word ".repeat(200);
        let history = [(Role::User, long.as_str()), (Role::Assistant, "Yes.")];
        assert_eq!(kept(8_000, &history).0, 6);
        for context_tokens in [310, 400, 500, 600, 700, 900] {
            let (passages, tokens) = kept(context_tokens, &history);
            assert!((1..=6).contains(&passages) && tokens <= context_tokens.max(330), "{context_tokens}: {tokens}");
        }
        assert!(kept(500, &[]).0 > kept(400, &[]).0);
        assert_eq!(kept(10, &history).0, 1, "the best passage is never left out");
    }

    #[test]
    fn a_text_is_cut_between_words() {
        assert_eq!(cut("One two three", 2), "One two");
        assert_eq!((cut("One", 0), cut("", 5)), (String::new(), String::new()));
    }
}
