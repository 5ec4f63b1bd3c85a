//! Answers without a model: the sentences of the passages that support an answer best, word for word. What enters is the
//! question, its weighted terms and the passages, best first; what leaves is at most three extracts. The same input gives
//! the same answer, always. How text becomes terms is the caller's business, so that it matches the index.

pub mod asks;
mod line;
pub mod units;

use std::collections::{HashMap, HashSet};

use self::asks::{Asks, asks, fit};
use self::line::is_path;
use self::units::{Unit, UnitKind, has_twin, units};
use crate::document::Passage;

/// The most extracts of one answer.
const MAX_EXTRACTS: usize = 3;
/// What a term counts when a unit only has another form of it.
const RESEMBLING_SHARE: f32 = 0.7;
/// What a term counts when only the headings or the frame of a unit have it.
const FRAME_SHARE: f32 = 0.5;
/// What a term counts when only the sentence before has it.
const NEIGHBOUR_SHARE: f32 = 0.35;
/// Units that score less do not answer.
const MIN_SCORE: f32 = 0.25;
/// Units with more terms than this are too long to be the point.
const LONG_UNIT_TERMS: usize = 45;
/// Lists that follow a chosen lead-in are quoted with it up to this length.
const MAX_LIST_BYTES: usize = 600;

/// Words that stand for something named before.
const PRONOUNS: &[&str] = &[
    "it", "they", "this", "these", "those", "he", "she", "such", "both", "es", "sie", "er", "dies", "diese", "il",
    "elle", "ils",
];
/// Words that may stand before a pronoun at the start of a sentence.
const CONJUNCTIONS: &[&str] = &[
    "after", "as", "because", "before", "if", "once", "since", "then", "though", "unless", "until", "when", "while",
    "bis", "da", "falls", "nachdem", "sobald", "solange", "wenn",
];

/// A term of the question and how much it matters.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedTerm {
    /// The term as the index writes it.
    pub term: String,
    /// Its weight, greater for rarer terms.
    pub weight: f32,
}

/// What an answer is made from.
pub struct Material<'a> {
    /// The question as asked.
    pub question: &'a str,
    /// The terms that matter in it, none twice.
    pub terms: &'a [WeightedTerm],
    /// The passages found, best first.
    pub passages: &'a [&'a Passage],
    /// Text into terms, in order, the way the index does it.
    pub analyze: &'a (dyn Fn(&str) -> Vec<String> + Send + Sync),
}

/// One quoted piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extract {
    /// Which passage it is from: its position in the material.
    pub passage: usize,
    /// The words.
    pub text: String,
}

/// The best-supported pieces, those of the best passage first. Empty when nothing answers.
pub fn extract(material: &Material<'_>) -> Vec<Extract> {
    let scorer = Scorer::new(material);
    let candidates = scorer.candidates();
    let chosen = choose(&candidates, &scorer);
    let mut order: Vec<usize> = chosen.iter().map(|candidate| candidate.passage).collect();
    order.dedup();
    let rank =
        |candidate: &Candidate| (order.iter().position(|passage| *passage == candidate.passage), candidate.position);
    let mut in_order = chosen;
    in_order.sort_by_key(|candidate| rank(candidate));
    in_order.into_iter().map(|candidate| Extract { passage: candidate.passage, text: plain(&candidate.text) }).collect()
}

/// What a unit says, without the path that a line of data begins with: the position in a list is no figure of it.
fn told(unit: &Unit) -> &str {
    match unit.text.split_once(": ") {
        Some((key, _)) if unit.kind == UnitKind::Data && is_path(key) => {
            let last = key.rfind(['.', ']']).map_or(0, |end| end + 1);
            &unit.text[last..]
        }
        _ => &unit.text,
    }
}

/// The characters that forms of one word have in common at their beginning, at least.
pub const FORMS_SHARE: usize = 5;

/// Whether two terms are forms of one word that a stemmer leaves apart: a long common beginning, little else.
pub fn resembles(a: &str, b: &str) -> bool {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    common >= FORMS_SHARE && common * 4 >= a.chars().count().max(b.chars().count()) * 3
}

/// A unit with its score.
struct Candidate {
    passage: usize,
    position: usize,
    text: String,
    terms: HashSet<String>,
    score: f32,
}

struct Scorer<'a> {
    material: &'a Material<'a>,
    weights: HashMap<&'a str, f32>,
    total: f32,
    asks: Asks,
}

impl<'a> Scorer<'a> {
    fn new(material: &'a Material<'a>) -> Self {
        let weights: HashMap<&str, f32> = material.terms.iter().map(|t| (t.term.as_str(), t.weight)).collect();
        let total = weights.values().sum::<f32>().max(f32::EPSILON);
        Self { material, weights, total, asks: asks(material.question) }
    }

    /// Every unit of every passage with its score, best first; equals in reading order.
    fn candidates(&self) -> Vec<Candidate> {
        let mut found = Vec::new();
        for (rank, passage) in self.material.passages.iter().enumerate() {
            let units = units(&passage.text);
            let name = passage.name.as_str().replace(|c: char| !c.is_alphanumeric(), " ");
            let headings = self.terms_of(&format!("{} {} {name}", passage.title, passage.heading_path.join(" ")));
            let mut before: (usize, HashSet<String>) = (usize::MAX, HashSet::new());
            for (position, unit) in units.iter().enumerate() {
                let terms = (self.material.analyze)(&unit.text);
                let frame = &self.terms_of(&unit.frame) | &headings;
                let neighbour = if before.0 == unit.paragraph { before.1.clone() } else { HashSet::new() };
                // How good a passage is matters less than what a sentence says.
                let prior = 1.0 / (1.0 + 0.06 * rank as f32);
                let score = prior * self.score(unit, &terms, &frame, &neighbour);
                let terms: HashSet<String> = terms.into_iter().collect();
                before = (unit.paragraph, terms.clone());
                if unit.kind != UnitKind::Question {
                    found.push(Candidate {
                        passage: rank,
                        position,
                        text: self.with_name(&units, position, &terms),
                        terms,
                        score,
                    });
                }
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.passage, a.position).cmp(&(b.passage, b.position))));
        found
    }

    fn score(&self, unit: &Unit, terms: &[String], frame: &HashSet<String>, neighbour: &HashSet<String>) -> f32 {
        let own: HashSet<&str> = terms.iter().map(String::as_str).collect();
        let share = |term: &str| match () {
            () if own.contains(term) => 1.0,
            () if own.iter().any(|other| resembles(other, term)) => RESEMBLING_SHARE,
            () if frame.contains(term) => FRAME_SHARE,
            () if neighbour.contains(term) => NEIGHBOUR_SHARE,
            () => 0.0,
        };
        let coverage = self.material.terms.iter().map(|t| t.weight * share(&t.term)).sum::<f32>() / self.total;
        let kind = match unit.kind {
            UnitKind::Sentence => 1.0,
            UnitKind::Line | UnitKind::Data => 0.97,
            UnitKind::Heading => 0.5,
            UnitKind::Question => 0.0,
        };
        let length = match terms.len() {
            0 => 0.3,
            1..=2 if !unit.text.contains(char::is_numeric) => 0.7,
            long if long > LONG_UNIT_TERMS => (LONG_UNIT_TERMS as f32 / long as f32).powf(0.3),
            _ => 1.0,
        };
        (coverage + 0.1 * self.adjacency(terms)) * kind * length * fit(self.asks, self.material.question, told(unit))
    }

    /// The share of neighbouring question terms that are neighbours in the unit too: `annual leave` is not `leave annually`.
    fn adjacency(&self, terms: &[String]) -> f32 {
        let asked: Vec<&str> = self.material.terms.iter().map(|t| t.term.as_str()).collect();
        let pairs = asked.windows(2).count().max(1);
        let is_in_unit = |pair: &&[&str]| terms.windows(2).any(|w| w[0] == pair[0] && w[1] == pair[1]);
        asked.windows(2).filter(is_in_unit).count() as f32 / pairs as f32
    }

    /// A unit as quoted. A line of a record comes with the line that opens it where that tells whose price this is: it has
    /// something of the question that the line itself has not, or there are several such records.
    fn with_name(&self, units: &[Unit], position: usize, terms: &HashSet<String>) -> String {
        let text = with_company(units, position);
        let Some(opening) = units[position].opening else { return text };
        let adds = |term: &String| self.weights.contains_key(term.as_str()) && !terms.contains(term);
        let named = &units[opening].text;
        let is_needed = has_twin(units, opening) || self.terms_of(named).iter().any(adds);
        if is_needed { format!("{named}\n{text}") } else { text }
    }

    /// The weight of the question's terms in `terms` that are in none of `chosen`, as a share of all.
    fn new_coverage(&self, terms: &HashSet<String>, chosen: &[&Candidate]) -> f32 {
        let is_new = |term: &&String| !chosen.iter().any(|other| other.terms.contains(*term));
        terms.iter().filter(is_new).filter_map(|term| self.weights.get(term.as_str())).sum::<f32>() / self.total
    }

    fn terms_of(&self, text: &str) -> HashSet<String> {
        (self.material.analyze)(text).into_iter().collect()
    }
}

/// The best unit, and those that come close or add what it lacks.
fn choose<'c>(candidates: &'c [Candidate], scorer: &Scorer<'_>) -> Vec<&'c Candidate> {
    let Some(best) = candidates.first().filter(|best| best.score >= MIN_SCORE) else {
        return Vec::new();
    };
    // A fact has one place; anything else may be spread over several sentences.
    let wants_a_fact = matches!(scorer.asks, Asks::Money | Asks::Number | Asks::Time | Asks::Person | Asks::Place);
    let (limit, close) = if wants_a_fact { (2, 0.85) } else { (MAX_EXTRACTS, 0.7) };
    let mut chosen = vec![best];
    for candidate in &candidates[1..] {
        let is_close = candidate.score >= close * best.score;
        let adds = candidate.score >= 0.5 * best.score && scorer.new_coverage(&candidate.terms, &chosen) >= 0.2;
        let is_repeated = chosen.iter().any(|other| is_near_duplicate(candidate, other));
        if chosen.len() < limit && candidate.score >= MIN_SCORE && (is_close || adds) && !is_repeated {
            chosen.push(candidate);
        }
    }
    chosen
}

fn is_near_duplicate(a: &Candidate, b: &Candidate) -> bool {
    let common = a.terms.intersection(&b.terms).count() as f32;
    let smaller = a.terms.len().min(b.terms.len()).max(1) as f32;
    common / smaller >= 0.8 || a.text.contains(b.text.as_str()) || b.text.contains(a.text.as_str())
}

/// A unit as quoted: a lead-in with the list it announces, a sentence about "it" with the one that says what.
fn with_company(units: &[Unit], position: usize) -> String {
    let unit = &units[position];
    let mut text = unit.text.clone();
    if text.ends_with([':', '：']) {
        for item in units[position + 1..].iter().take_while(|next| next.kind == UnitKind::Line) {
            if text.len() + item.text.len() > MAX_LIST_BYTES {
                break;
            }
            text = format!("{text}\n- {}", item.text);
        }
    } else if unit.kind == UnitKind::Sentence && starts_with_pronoun(&text) && position > 0 {
        let before = &units[position - 1];
        if before.kind == UnitKind::Sentence && before.paragraph == unit.paragraph {
            text = format!("{} {text}", before.text);
        }
    }
    text
}

/// Whether a sentence is about something that the one before names: "It …", and "Until it …" as well.
fn starts_with_pronoun(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphabetic());
    let first = words.next().unwrap_or("").to_lowercase();
    let second = words.next().unwrap_or("").to_lowercase();
    PRONOUNS.contains(&first.as_str()) || CONJUNCTIONS.contains(&first.as_str()) && PRONOUNS.contains(&second.as_str())
}

/// Text as it may stand in an answer: footnote marks gone, other square brackets rounded, because a square bracket in an
/// answer is a citation.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        out.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let mark =
            inside.find(']').filter(|end| (1..=3).contains(end) && inside[..*end].bytes().all(|b| b.is_ascii_digit()));
        match mark {
            // In `a[1].b` the mark is a place in a list.
            Some(end) if out.ends_with(|c: char| !c.is_whitespace()) && !goes_on(&inside[end + 1..]) => {
                rest = &inside[end + 1..];
            }
            _ => {
                out.push('(');
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out.replace(']', ")")
}

/// Whether a key goes on after a place in a list.
fn goes_on(rest: &str) -> bool {
    rest.starts_with(": ") || rest.strip_prefix('.').is_some_and(|key| key.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests;
