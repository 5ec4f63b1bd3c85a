//! What kind of answer a question wants, told by its words, and whether a text has that kind of thing in it. What enters
//! is text, what leaves is a kind or a yes; a few words in each of several languages stand in for understanding.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::models::numbers::{NumberSet, numbers};

/// The kind of answer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A price.
    Money,
    /// A figure: how many, how long.
    Number,
    /// A date or time.
    Time,
    /// A person, role or team.
    Person,
    /// A place or address.
    Place,
    /// A reason.
    Reason,
    /// Steps to take.
    Procedure,
    /// What something is.
    Definition,
    /// Whether something is so, or allowed.
    YesNo,
    /// Anything else.
    Open,
}

/// The kinds that are told by an opening, in the order in which they are tried.
const TOLD_BY_OPENING: &[(Asks, &str)] = &[
    (Asks::Money, "money"),
    (Asks::Number, "number"),
    (Asks::Time, "time"),
    (Asks::Person, "person"),
    (Asks::Place, "place"),
    (Asks::Reason, "reason"),
    (Asks::Procedure, "procedure"),
    (Asks::Definition, "definition"),
];

/// The lists of words, by the names in their brackets.
static WORDS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let lists = include_str!("asks.txt").split("\n[").skip(1).filter_map(|list| list.split_once(']'));
    lists.map(|(name, words)| (name, words.split(',').map(str::trim).collect())).collect()
});

/// What a question asks for.
pub fn asks(question: &str) -> Asks {
    let lower = question.trim().to_lowercase();
    let opens = |kind: &str| list("opening", kind).iter().any(|opening| holds_in_order(&lower, opening));
    let told = TOLD_BY_OPENING.iter().find(|(_, name)| opens(name)).map(|(kind, _)| *kind);
    let first = lower.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or("");
    match told {
        // "Can I see who …" wants a yes before it wants a name, but "Do you know how many …" wants the number.
        Some(figure @ (Asks::Money | Asks::Number)) => figure,
        _ if list("first", "yesno").contains(&first) => Asks::YesNo,
        Some(kind) => kind,
        None => Asks::Open,
    }
}

fn list(role: &str, kind: &str) -> &'static [&'static str] {
    WORDS.get(format!("{role} {kind}").as_str()).map_or(&[], Vec::as_slice)
}

/// Whether the parts of a phrase, between its `…`, stand in a text one after the other.
fn holds_in_order(text: &str, phrase: &str) -> bool {
    let mut rest = text;
    phrase.split('…').map(str::trim).all(|part| match end_of(rest, part) {
        Some(end) => {
            rest = &rest[end..];
            true
        }
        None => false,
    })
}

/// Where a phrase that stands in a text as whole words ends. Scripts without spaces have no word ends to look for.
fn end_of(text: &str, phrase: &str) -> Option<usize> {
    let is_letter = |c: char| c.is_alphanumeric() && u32::from(c) < 0x1100;
    let found = text.match_indices(phrase).find(|(at, found)| {
        let joined_before = text[..*at].ends_with(is_letter) && found.starts_with(is_letter);
        let joined_after = text[at + found.len()..].starts_with(is_letter) && found.ends_with(is_letter);
        !joined_before && !joined_after
    });
    found.map(|(at, found)| at + found.len())
}

/// How much a text gains or loses for having what the question asks for, and the figures it gives: 1 is neither.
pub fn fit(asks: Asks, question: &str, text: &str) -> f32 {
    let given = numbers(question);
    let found = NumberSet::of(text);
    let repeats = if given.iter().any(|number| found.holds(number)) { 1.25 } else { 1.0 };
    repeats * kind_fit(asks, question, text)
}

fn kind_fit(asks: Asks, question: &str, text: &str) -> f32 {
    let holds = match asks {
        Asks::Open => return 1.0,
        Asks::Money => return money_fit(question, text),
        Asks::Number => return if has_new_number(question, text) { 1.3 } else { 0.7 },
        Asks::Time => return if has_time(question, text) { 1.3 } else { 0.75 },
        Asks::Person => has_name(text) || has_any(text, "person"),
        Asks::Place => has_name(text) || has_any(text, "place"),
        Asks::Reason => has_any(text, "reason"),
        Asks::Procedure => has_any(text, "procedure"),
        Asks::Definition => has_any(text, "definition"),
        Asks::YesNo => has_any(text, "yesno"),
    };
    if holds { 1.15 } else { 0.92 }
}

/// A figure alone may be a price in a table that says so elsewhere.
fn money_fit(question: &str, text: &str) -> f32 {
    match (has_new_number(question, text), has_any(text, "money") || text.contains(['€', '$', '£', '¥', '円', '元']))
    {
        (true, true) => 1.3,
        (true, false) => 1.0,
        (false, _) => 0.7,
    }
}

/// Whether a text has a figure that the question has not given itself.
fn has_new_number(question: &str, text: &str) -> bool {
    let given = NumberSet::of(question);
    numbers(text).iter().any(|number| !given.holds(number)) || has_any(text, "number") || text.contains(is_cjk_numeral)
}

fn has_time(question: &str, text: &str) -> bool {
    has_any(text, "time") || has_new_number(question, text)
}

/// Whether a word inside the text, not at its start, begins with a capital, or there is an address of mail.
fn has_name(text: &str) -> bool {
    let has_capital = text.split_whitespace().skip(1).any(|word| word.starts_with(char::is_uppercase));
    has_capital || text.contains('@')
}

/// Whether a text has one of the words that go with a kind.
fn has_any(text: &str, kind: &str) -> bool {
    let wanted = list("has", kind);
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| wanted.contains(&word))
}

fn is_cjk_numeral(c: char) -> bool {
    matches!(c, '二' | '三' | '四' | '五' | '六' | '七' | '八' | '九' | '十' | '百' | '千' | '万' | '两')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, expected: Asks) {
        assert_eq!(asks(question), expected, "{question}");
    }

    #[test]
    fn tells_what_a_question_wants() {
        check("How many days of annual leave do I get?", Asks::Number);
        check("Do you know how much a taxi may cost?", Asks::Money);
        check("What does the ferry to the island cost?", Asks::Money);
        check("How much water is left?", Asks::Number);
        check("When is the deadline for claims?", Asks::Time);
        check("Who approves travel?", Asks::Person);
        check("Where do I park?", Asks::Place);
        check("Why was the site closed?", Asks::Reason);
        check("How do I request leave?", Asks::Procedure);
        check("What is a sabbatical?", Asks::Definition);
        check("Can I see who approved it?", Asks::YesNo);
        check("Show the travel policy", Asks::Open);
        check("年假有多少天？", Asks::Number);
        check("Wie viele Urlaubstage habe ich?", Asks::Number);
        check("Wann ist Abgabe?", Asks::Time);
        check("And for the whole team?", Asks::Open);
        check("", Asks::Open);
    }

    #[test]
    fn every_list_is_there() {
        for name in ["money", "number", "time", "person", "place", "reason", "procedure", "definition"] {
            assert!(list("opening", name).len() > 3 && list("has", name).len() > 3, "{name}");
        }
        assert!(list("first", "yesno").len() > 3 && list("has", "yesno").len() > 3);
        assert_eq!(WORDS.len(), 18);
    }

    #[test]
    fn a_price_has_a_currency() {
        let question = "What did the tug cost?";
        let fit = |text: &str| fit(Asks::Money, question, text);
        assert!(fit("It came to EUR 300.") > fit("It came at 11:00.") && fit("It came at 11:00.") > fit("It came."));
    }

    #[test]
    fn prefers_figures_that_the_question_did_not_give() {
        let question = "How much is paid after 2 years?";
        assert!(fit(Asks::Number, question, "After 2 years 300 euros are paid.") > 1.0);
        assert!(fit(Asks::Number, question, "After 2 years more is paid.") < 1.0);
        assert!(fit(Asks::Number, "年假有多少天？", "每年有十五天年假。") > 1.0);
    }
}
