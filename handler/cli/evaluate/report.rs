//! What an evaluation found: one row for each query, the figures over them, and the thresholds they miss. What enters are
//! rows, what leaves are a table for people and JSON for programs.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::least::{Floor, direction_of};
use crate::index::evaluate::{MEASURES, Ranking, Relevance, mean};

/// Misses that are shown to people; programs get every row.
const MISSES_SHOWN: usize = 30;

/// What became of one query.
#[derive(Clone, Default, Serialize)]
pub struct Row {
    /// The query's id in its set, or the question itself.
    pub query: String,
    /// Where the answer is, in the form that answers cite; none when nothing has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The rank of the first relevant hit, from 1; none when it was not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// The ranking's figures, in the order of [`MEASURES`]; none when nothing is relevant.
    #[serde(skip)]
    pub ranking: Vec<f64>,
    /// Whether the answer cites the right page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cited: Option<bool>,
    /// Whether the answer holds the expected words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<bool>,
    /// Whether the answer is that the documents do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstained: Option<bool>,
    /// The answer itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The code of the error that came in place of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

impl Row {
    /// Notes how good a ranking is.
    pub fn ranked(mut self, ranking: &Ranking, relevance: &Relevance) -> Self {
        self.rank = ranking.first_relevant(relevance);
        self.ranking = MEASURES.iter().map(|(_, measure)| ranking.measure(*measure, relevance)).collect();
        self
    }

    /// What went wrong, in words; none when all is well.
    fn trouble(&self) -> Option<String> {
        let is_answerable = self.expected.is_some();
        match self {
            Self { error: Some(code), .. } => Some(format!("failed: {code}")),
            Self { abstained: Some(false), .. } if !is_answerable => {
                Some("answered, though nothing says so".to_owned())
            }
            Self { abstained: Some(true), .. } if is_answerable => Some("abstained".to_owned()),
            Self { cited: Some(false), .. } => Some("another source cited".to_owned()),
            Self { answered: Some(false), .. } => Some("the expected words are missing".to_owned()),
            _ => None,
        }
    }
}

/// A figure over all queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The name that thresholds call it.
    pub name: &'static str,
    /// From 0 to 1.
    pub value: f64,
    /// Over how many queries.
    pub of: usize,
}

/// The whole evaluation.
#[derive(Clone)]
pub struct Report {
    /// Documents in the index.
    pub documents: u64,
    /// Passages in the index.
    pub passages: u64,
    /// How passages were looked for.
    pub retrieval: String,
    /// How many hits a ranking could have.
    pub top: usize,
    /// Who worded the answers; none where nothing was answered.
    pub model: Option<String>,
    /// Filling the index took so long; 0 when it was there.
    pub index_ms: u64,
    /// Asking took so long.
    pub ask_ms: u64,
    /// What became of each query.
    pub rows: Vec<Row>,
}

impl Report {
    /// The figures, in the order in which people read them. A figure over no query at all is left out, and so is one that
    /// looks deeper than the rankings go.
    pub fn figures(&self) -> Vec<Figure> {
        let ranking = MEASURES.iter().enumerate().filter(|(_, (_, measure))| measure.depth() <= self.top);
        let ranking = ranking.filter_map(|(at, (name, _))| self.share(name, |row| row.ranking.get(at).copied()));
        let (answerable, unanswerable) = (|row: &Row| row.expected.is_some(), |row: &Row| row.expected.is_none());
        let answers = [
            self.share("citation", |row| row.cited.map(f64::from)),
            self.share("answer", |row| row.answered.map(f64::from)),
            self.share("abstention", |row| row.abstained.filter(|_| unanswerable(row)).map(f64::from)),
            self.share("false-abstention", |row| row.abstained.filter(|_| answerable(row)).map(f64::from)),
        ];
        ranking.chain(answers.into_iter().flatten()).collect()
    }

    fn share(&self, name: &'static str, value: impl Fn(&Row) -> Option<f64>) -> Option<Figure> {
        let values: Vec<f64> = self.rows.iter().filter_map(value).collect();
        let of = values.len();
        mean(values).map(|value| Figure { name, value, of })
    }

    /// For programs.
    pub fn json(&self, floors: &[Floor]) -> Value {
        let figures: Map<String, Value> =
            self.figures().iter().map(|figure| (figure.name.to_owned(), json!(figure.value))).collect();
        let below: Vec<&str> = self.below(floors).iter().map(|floor| floor.figure).collect();
        json!({
            "documents": self.documents, "passages": self.passages, "retrieval": self.retrieval, "top": self.top, "model": self.model,
            "index_ms": self.index_ms, "ask_ms": self.ask_ms, "figures": figures, "below": below, "queries": self.rows,
        })
    }

    /// The thresholds that are not met; one for a figure that was not measured is not met either.
    pub fn below<'f>(&self, floors: &'f [Floor]) -> Vec<&'f Floor> {
        let figures = self.figures();
        let value =
            |floor: &Floor| figures.iter().find(|figure| figure.name == floor.figure).map(|figure| figure.value);
        floors.iter().filter(|floor| !value(floor).is_some_and(|value| floor.is_met(value))).collect()
    }

    /// For people.
    pub fn show(&self, floors: &[Floor]) {
        let (documents, passages, queries) = (self.documents, self.passages, self.rows.len());
        println!("{documents} documents, {passages} passages, {queries} queries; retrieval: {}", self.retrieval);
        println!("{}", self.table(floors));
        let misses: Vec<(&Row, String)> =
            self.rows.iter().filter_map(|row| row.trouble().map(|trouble| (row, trouble))).collect();
        for (row, trouble) in misses.iter().take(MISSES_SHOWN) {
            let expected = row.expected.as_ref().map(|source| format!(" (in {source})")).unwrap_or_default();
            println!("{trouble}: {}{expected}", row.query);
        }
        if misses.len() > MISSES_SHOWN {
            println!("and {} more; --json has them all", misses.len() - MISSES_SHOWN);
        }
        for floor in self.below(floors) {
            println!(
                "worse than allowed: {} must be {} {}",
                floor.figure,
                direction_of(floor.figure).words(),
                floor.value
            );
        }
    }

    fn table(&self, floors: &[Floor]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["figure", "value", "queries", "threshold"]);
        for figure in self.figures() {
            let floor = floors.iter().find(|floor| floor.figure == figure.name);
            let floor = floor.map(|floor| format!("{} {}", direction_of(floor.figure).words(), floor.value));
            let value = format!("{:.4}", figure.value);
            table.add_row([figure.name, &value, &figure.of.to_string(), &floor.unwrap_or_default()]);
        }
        for column in 1..=2 {
            table.column_mut(column).into_iter().for_each(|column| {
                column.set_cell_alignment(CellAlignment::Right);
            });
        }
        table
    }
}
