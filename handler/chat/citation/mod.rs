//! Citations checked while an answer streams. What enters is the text a model writes, with its markers; what leaves is the
//! text without them, and a citation wherever a retrieved passage really supports the words before the marker. It knows
//! the passages of this answer and nothing of how it came to be.

mod names;

use std::collections::HashSet;

use self::names::{Name, names};
use crate::chat::marker::{MarkerScanner, Part};
use crate::chat::passage_terms::{Analyze, PassageTerms, Support};
use crate::chat::{Citation, CitedPassage};
use crate::models::numbers::{Number, numbers};
use crate::models::sentence::sentences;

/// A checked part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words.
    Text(String),
    /// What supports the words before. Those end without white space; a gap before the citation is for whoever shows it.
    Citation(Citation),
}

/// What the check of a whole answer found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The passages cited, each once, in order of first mention.
    pub citations: Vec<Citation>,
    /// How many markers were dropped.
    pub dropped: usize,
    /// Whether the model marked the answer as "the documents do not say".
    pub declined: bool,
    /// Whether there were any words.
    pub has_text: bool,
}

/// Checks one answer against the passages it was made from.
pub struct CitationChecker<'a> {
    passages: Vec<Checked>,
    analyze: &'a Analyze<'a>,
    /// The terms of the question: an answer may name whom it was asked about.
    asked: HashSet<String>,
    /// The share of a sentence's terms that a passage must have.
    least_support: f32,
    scanner: MarkerScanner,
    /// The words since the last group of markers.
    since_marker: String,
    /// The words the last group of markers was for, in case another group follows with hardly a word between.
    last_claim: Claim,
    /// Markers that wait for the end of their group.
    group: Vec<usize>,
    /// White space that waits for what comes after it, before and after the group.
    space_before: String,
    space_after: String,
    verdict: Verdict,
}

/// What a group of markers is for, with its terms.
#[derive(Default)]
struct Claim {
    text: String,
    terms: Vec<String>,
}

/// A passage with its terms.
struct Checked {
    cited: CitedPassage,
    terms: PassageTerms,
}

impl<'a> CitationChecker<'a> {
    /// Starts on an answer to a question.
    pub fn new(question: &str, analyze: &'a Analyze<'a>, least_support: f32) -> Self {
        Self {
            passages: Vec::new(),
            asked: analyze(question).into_iter().collect(),
            analyze,
            least_support,
            scanner: MarkerScanner::default(),
            since_marker: String::new(),
            last_claim: Claim::default(),
            group: Vec::new(),
            space_before: String::new(),
            space_after: String::new(),
            verdict: Verdict::default(),
        }
    }

    /// Passages that the answer may cite from now on, with their terms in the same order.
    pub fn add(&mut self, passages: &[CitedPassage], terms: Vec<PassageTerms>) {
        let with_terms = passages.iter().cloned().zip(terms);
        self.passages.extend(with_terms.map(|(cited, terms)| Checked { cited, terms }));
    }

    /// What is certain after the next words.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in self.scanner.push(text) {
            self.take(part, &mut pieces);
        }
        pieces
    }

    /// What was still waiting, and the verdict on the whole.
    pub fn finish(mut self) -> (Vec<Piece>, Verdict) {
        let mut pieces = Vec::new();
        if let Some(held) = self.scanner.finish() {
            self.text(&held, &mut pieces);
        }
        self.end_group(&mut pieces);
        (pieces, self.verdict)
    }

    fn take(&mut self, part: Part, pieces: &mut Vec<Piece>) {
        match part {
            Part::Text(text) => self.text(&text, pieces),
            Part::Numbers(numbers) => self.markers(&numbers),
            Part::Bracketed(inside) => match self.named(&inside) {
                Some(number) => self.markers(&[number]),
                // A client shows `[name#page=1]` as a citation, so a model must not be able to write one itself.
                None if looks_like_source(&inside) => self.markers(&[usize::MAX]),
                None => self.text(&format!("[{inside}]"), pieces),
            },
        }
    }

    /// Markers join those before them; the white space between is of no more use.
    fn markers(&mut self, numbers: &[usize]) {
        self.space_after.clear();
        self.group.extend_from_slice(numbers);
    }

    /// The number of the passage whose source this is.
    fn named(&self, source: &str) -> Option<usize> {
        let is_it = |checked: &&Checked| checked.cited.passage.source() == source.trim();
        self.passages.iter().find(is_it).map(|checked| checked.cited.number)
    }

    fn text(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        if text.trim().is_empty() {
            if self.group.is_empty() {
                self.space_before.push_str(text)
            } else {
                self.space_after.push_str(text)
            }
            return;
        }
        let was_dropped = self.end_group(pieces);
        let kept = text.trim_end();
        let mut gap = std::mem::take(&mut self.space_before);
        if was_dropped && (kept.starts_with(char::is_whitespace) || kept.starts_with(is_closing)) {
            gap.clear();
        }
        let spaced = gap + kept;
        self.since_marker.push_str(&spaced);
        self.verdict.has_text = true;
        push_text(pieces, spaced);
        self.space_before.push_str(&text[kept.len()..]);
    }

    /// Judges the markers that stand together, by the words before them. Says whether all of them were dropped.
    fn end_group(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return false;
        }
        self.read_claim();
        let claim = std::mem::take(&mut self.last_claim);
        let supporting = self.supporting(&group, &claim);
        self.last_claim = claim;
        let before = std::mem::take(&mut self.space_before);
        let after = std::mem::take(&mut self.space_after);
        let was_dropped = supporting.is_empty();
        // The gap before a citation is for whoever shows it. Of the two gaps around a dropped marker one stays, so that
        // "days [9] and" becomes "days and".
        self.space_before = if was_dropped && after.is_empty() { before } else { after };
        pieces.extend(supporting.into_iter().map(Piece::Citation));
        was_dropped
    }

    /// The last sentence before the markers. Hardly a word since the last markers means that these are for the same one.
    fn read_claim(&mut self) {
        let text = std::mem::take(&mut self.since_marker);
        let claim = |sentence: &&str| {
            let text = without_label(sentence);
            let terms = (self.analyze)(text);
            (!terms.is_empty()).then(|| Claim { text: text.to_owned(), terms })
        };
        if let Some(claim) = sentences(&text).iter().rev().find_map(claim) {
            self.last_claim = claim;
        }
    }

    fn supporting(&mut self, group: &[usize], Claim { text, terms }: &Claim) -> Vec<Citation> {
        let figures = numbers(text);
        let mut seen = HashSet::new();
        let mut candidates = Vec::new();
        for number in group.iter().filter(|number| seen.insert(**number)) {
            match self.passages.iter().find(|checked| checked.cited.number == *number) {
                Some(checked) if !terms.is_empty() && self.is_supported(checked, terms, &figures) => {
                    candidates.push(checked)
                }
                None if *number == 0 => self.verdict.declined = true,
                _ => self.verdict.dropped += 1,
            }
        }
        // Each figure has to be in one of the passages cited together.
        let is_known = |figure: &Number| candidates.iter().any(|checked| self.support(checked).numbers.holds(figure));
        // And so has each name.
        let names = if candidates.is_empty() { Vec::new() } else { names(text) };
        let is_named = |name: &Name<'_>| candidates.iter().any(|checked| self.knows(checked, name));
        if !figures.iter().all(is_known) || !names.iter().all(is_named) {
            self.verdict.dropped += candidates.len();
            return Vec::new();
        }
        let citations: Vec<Citation> = candidates.iter().map(|checked| self.cite(checked, terms)).collect();
        for citation in &citations {
            if !self.verdict.citations.iter().any(|known| known.number == citation.number) {
                self.verdict.citations.push(citation.clone());
            }
        }
        citations
    }

    /// Whether a passage has enough of a claim's words, and at least one of its figures when it has any.
    fn is_supported(&self, checked: &Checked, terms: &[String], figures: &[Number]) -> bool {
        let has_figure = figures.is_empty() || figures.iter().any(|figure| self.support(checked).numbers.holds(figure));
        has_figure && checked.terms.share(terms) >= self.least_support
    }

    /// Whether a passage has a name. Words of the question are known, and so are those that are no terms.
    fn knows(&self, checked: &Checked, name: &Name<'_>) -> bool {
        name.is_known(|word| {
            let bare = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
            let is_term_known = |term: &String| self.asked.contains(term) || checked.terms.holds(term) > 0.0;
            (self.analyze)(bare).iter().all(is_term_known)
                || checked.cited.passage.text.to_lowercase().contains(&bare.to_lowercase())
        })
    }

    fn cite(&self, checked: &Checked, terms: &[String]) -> Citation {
        let common = |quote: &&(String, HashSet<String>)| terms.iter().filter(|term| quote.1.contains(*term)).count();
        // The first of equals: `max_by_key` would take the last.
        let best = self.support(checked).quotes.iter().rev().max_by_key(common);
        let passage = &checked.cited.passage;
        Citation {
            number: checked.cited.number,
            passage_id: passage.id.clone(),
            document_id: passage.document_id.clone(),
            name: passage.name.clone(),
            page: passage.page,
            source: passage.source(),
            quote: best.map(|(text, _)| text.clone()).unwrap_or_default(),
        }
    }

    fn support<'c>(&self, checked: &'c Checked) -> &'c Support {
        checked.terms.support(&checked.cited.passage, self.analyze)
    }
}

/// A sentence without the bullet or number of a list before it: `2.` is no figure of the claim.
fn without_label(sentence: &str) -> &str {
    let bare = sentence.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '*' | '•' | '#' | '>'));
    let after_digits = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_label = (1..=2).contains(&(bare.len() - after_digits.len())) && after_digits.starts_with(['.', ')']);
    match after_digits.get(1..) {
        Some(rest) if is_label && (rest.is_empty() || rest.starts_with(char::is_whitespace)) => rest.trim_start(),
        _ => bare,
    }
}

/// Whether bracketed words look like the source of a citation: a page or another place, or the name of a file.
fn looks_like_source(inside: &str) -> bool {
    const PLACES: [&str; 5] = ["#page=", "#sheet=", "#t=", "#part=", "#lines="];
    let has_extension = inside.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (1..=5).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric())
            && !stem.ends_with(' ')
    });
    PLACES.iter().any(|place| inside.contains(place)) || has_extension
}

/// Marks that follow a word without a gap.
fn is_closing(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | '。' | '，' | '、' | '！' | '？')
}

fn push_text(pieces: &mut Vec<Piece>, text: String) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(&text),
        _ => pieces.push(Piece::Text(text)),
    }
}

#[cfg(test)]
mod tests;
