//! A passage becomes the pieces that may answer: sentences, list items, table rows, lines of data. What enters is the text
//! of a passage in whatever form its format left it, what leaves are units in reading order, each with the text that
//! frames it. It knows layout and nothing of questions.

use super::line::{Line, is_cjk, is_path, line_kind, width};
use crate::models::sentence::{ends_sentence, sentences};

/// A line at least this wide that stops without an end mark was wrapped, and goes on in the next.
const WRAPPED_LINE_WIDTH: usize = 42;

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A sentence of running text.
    Sentence,
    /// A list item, a table row, a bullet of a slide.
    Line,
    /// A line of data, `key: value`.
    Data,
    /// A heading inside the passage.
    Heading,
    /// A question, as frequently asked ones are: what follows is its answer.
    Question,
}

/// A piece of a passage that can stand as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Its words, white space evened out.
    pub text: String,
    /// The heading, question, lead-in or column names it stands under; empty when there are none.
    pub frame: String,
    /// Which paragraph of the passage it is in.
    pub paragraph: usize,
    /// For a line of data, the unit that opens its record, as its name does; none for that line itself.
    pub opening: Option<usize>,
}

/// The units of a passage's text, in order.
pub fn units(text: &str) -> Vec<Unit> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut reader = Reader::default();
    for (at, line) in lines.iter().enumerate() {
        reader.read(line, lines.get(at + 1).copied().unwrap_or(""));
    }
    reader.end_paragraph();
    reader.units
}

#[derive(Default)]
struct Reader {
    units: Vec<Unit>,
    prose: String,
    paragraph: usize,
    heading: String,
    question: String,
    lead_in: String,
    columns: Vec<String>,
    has_rule: bool,
    is_in_item: bool,
}

impl Reader {
    fn read(&mut self, line: &str, next: &str) {
        let kind = line_kind(line, next, &self.prose);
        if !matches!(kind, Line::Row(_) | Line::Rule) {
            self.columns.clear();
            self.has_rule = false;
        }
        match kind {
            Line::Blank => self.end_paragraph(),
            Line::Heading(text) => {
                self.end_paragraph();
                self.start_section(text);
            }
            Line::Item(text) => {
                self.flush();
                self.prose.push_str(text);
                self.is_in_item = true;
            }
            Line::Row(cells) => {
                self.flush();
                self.row(cells);
            }
            Line::Rule => self.has_rule = true,
            Line::Data(text) => {
                self.flush();
                self.unit(UnitKind::Data, text.to_owned());
            }
            Line::Prose(text) => self.prose_line(text),
        }
    }

    fn prose_line(&mut self, line: &str) {
        if self.prose.is_empty() {
            self.prose.push_str(line);
            return;
        }
        let goes_on = ends_sentence(&self.prose) && !self.is_in_item
            || width(&self.prose) >= WRAPPED_LINE_WIDTH
            || line.starts_with(char::is_lowercase);
        if !goes_on {
            self.flush();
        }
        let is_unspaced = self.prose.ends_with(is_cjk) && line.starts_with(is_cjk);
        if !self.prose.is_empty() && !is_unspaced {
            self.prose.push(' ');
        }
        self.prose.push_str(line);
    }

    /// Ends the running text: its sentences become units.
    fn flush(&mut self) {
        let prose = std::mem::take(&mut self.prose);
        let is_item = std::mem::take(&mut self.is_in_item);
        let pieces = if is_item { vec![prose.trim()] } else { sentences(&prose) };
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let kind = match () {
                () if is_question(piece) => UnitKind::Question,
                () if is_item || !ends_sentence(piece) => UnitKind::Line,
                () => UnitKind::Sentence,
            };
            self.unit(kind, even(piece));
        }
    }

    fn end_paragraph(&mut self) {
        self.flush();
        self.paragraph += 1;
    }

    fn start_section(&mut self, heading: &str) {
        self.question.clear();
        self.lead_in.clear();
        if is_question(heading) {
            self.unit(UnitKind::Question, even(heading));
        } else {
            self.heading = even(heading);
            self.unit(UnitKind::Heading, even(heading));
        }
        self.paragraph += 1;
    }

    /// A table row. Where the first row certainly names the columns, the later ones are told with those names: a table
    /// cut in two starts with an ordinary row, and taking that for names would tell untruths.
    fn row(&mut self, cells: Vec<String>) {
        let has_digits = |cells: &[String]| cells.iter().any(|cell| cell.contains(char::is_numeric));
        let are_names = self.has_rule || !has_digits(&self.columns) && has_digits(&cells);
        if self.columns.len() != cells.len() || !are_names {
            self.unit(UnitKind::Line, cells.join(" | "));
            if self.columns.is_empty() {
                self.columns = cells;
            }
            return;
        }
        let named = self.columns.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty());
        let told: Vec<String> = named
            .map(|(column, cell)| if column.is_empty() { cell.clone() } else { format!("{column}: {cell}") })
            .collect();
        self.unit(UnitKind::Line, told.join("; "));
    }

    fn unit(&mut self, kind: UnitKind, text: String) {
        let frame = [&self.heading, &self.question, &self.lead_in].map(String::as_str).join("\n");
        if kind == UnitKind::Question {
            self.question.clone_from(&text);
            self.lead_in.clear();
        } else if text.ends_with([':', '：']) {
            self.lead_in.clone_from(&text);
        } else if kind == UnitKind::Sentence {
            self.lead_in.clear();
        }
        let mut unit = Unit { kind, text, frame: frame.trim().to_owned(), paragraph: self.paragraph, opening: None };
        if let Some(opening) = opening(&self.units, &unit) {
            unit.frame = format!("{}\n{}", unit.frame, self.units[opening].text).trim().to_owned();
            unit.opening = Some(opening);
        }
        self.units.push(unit);
    }
}

/// The first line of the record that a line of data belongs to, which mostly names it: lines of data that stand together are
/// one record until the key that opened it comes again, and where keys are paths, those under the path of an earlier line's key are.
fn opening(units: &[Unit], unit: &Unit) -> Option<usize> {
    if unit.kind != UnitKind::Data {
        return None;
    }
    let key = key_of(&unit.text);
    let is_together = |other: &&Unit| is_data_of(other, unit.paragraph) && key_of(&other.text) != key;
    let together = units.iter().rev().take_while(is_together).count();
    let again = units.iter().rev().nth(together).filter(|other| is_data_of(other, unit.paragraph));
    if again.is_some_and(|other| other.opening.is_none()) {
        return None;
    }
    let path = record_path(key);
    (units.len() - together..units.len()).find(|at| {
        let above = record_path(key_of(&units[*at].text));
        // Members of the outermost value are not one record with what is deeper.
        path == above || !above.is_empty() && path.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '[']))
    })
}

/// Whether a record is one of several alike: an item of a list, or another one is opened by the same key.
pub(super) fn has_twin(units: &[Unit], opening: usize) -> bool {
    let key = key_of(&units[opening].text);
    let is_twin =
        |(at, other): (usize, &Unit)| at != opening && other.kind == UnitKind::Data && key_of(&other.text) == key;
    key.contains('[') || units.iter().enumerate().any(is_twin)
}

fn is_data_of(unit: &Unit, paragraph: usize) -> bool {
    unit.kind == UnitKind::Data && unit.paragraph == paragraph
}

fn key_of(line: &str) -> &str {
    line.split_once([':', '：']).map_or(line, |(key, _)| key)
}

/// The path of the record in which a key is: `contracts[2]` for `contracts[2].name`.
fn record_path(key: &str) -> &str {
    if !is_path(key) {
        return "";
    }
    key.rfind(['.', '[']).map_or("", |end| &key[..end])
}

fn is_question(text: &str) -> bool {
    text.trim_end().ends_with(['?', '？', '؟'])
}

/// White space evened out to single spaces.
fn even(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(UnitKind, &str)]) {
        let found = units(text);
        let found: Vec<(UnitKind, &str)> = found.iter().map(|unit| (unit.kind, unit.text.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn joins_wrapped_lines_and_splits_sentences() {
        check(
            "Annual leave\nEmployees receive twenty-five days of annual leave in each\ncalendar year. Part-time staff receive\na share.",
            &[
                (UnitKind::Heading, "Annual leave"),
                (UnitKind::Sentence, "Employees receive twenty-five days of annual leave in each calendar year."),
                (UnitKind::Sentence, "Part-time staff receive a share."),
            ],
        );
        check(
            "年假\n公司的全体正式员工在每个完整的日历年度里都有十五天\n年假。可以结转。",
            &[
                (UnitKind::Heading, "年假"),
                (UnitKind::Sentence, "公司的全体正式员工在每个完整的日历年度里都有十五天年假。"),
                (UnitKind::Sentence, "可以结转。"),
            ],
        );
    }

    #[test]
    fn keeps_items_rows_and_data_lines_apart() {
        check(
            "Steps:\n1. Open the form.\n2. Sign it\n   with a pen",
            &[(UnitKind::Line, "Steps:"), (UnitKind::Line, "Open the form."), (UnitKind::Line, "Sign it with a pen")],
        );
        check(
            "| Country | Days |\n|---|---|\n| Norway | 25 |",
            &[(UnitKind::Line, "Country | Days"), (UnitKind::Line, "Country: Norway; Days: 25")],
        );
        check("Oslo | 5 | x\nRome | 7 | y", &[(UnitKind::Line, "Oslo | 5 | x"), (UnitKind::Line, "Rome | 7 | y")]);
        check(
            "country,days,city\nNorway,25,Oslo",
            &[(UnitKind::Line, "country | days | city"), (UnitKind::Line, "country: Norway; days: 25; city: Oslo")],
        );
        check(
            "{\n  \"leave\": 25,\n  \"unit\": \"days\"\n}",
            &[(UnitKind::Data, "\"leave\": 25"), (UnitKind::Data, "\"unit\": \"days\"")],
        );
        check(
            "Owner: Finance\nRevenue up 12%",
            &[(UnitKind::Data, "Owner: Finance"), (UnitKind::Line, "Revenue up 12%")],
        );
    }

    #[test]
    fn frames_answers_with_their_question_and_items_with_their_lead_in() {
        let found = units("Can I carry leave over?\nYes, up to five days.\n\nBring with you:\n- a passport");
        assert_eq!(found[0].kind, UnitKind::Question);
        assert_eq!(found[1].frame, "Can I carry leave over?");
        assert!(found[3].frame.ends_with("Bring with you:"));
    }

    #[test]
    fn lines_of_a_record_know_the_line_that_opens_it() {
        let check = |text: &str, expected: &[Option<usize>]| {
            let found: Vec<Option<usize>> = units(text).iter().map(|unit| unit.opening).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a[1].name: Coast\na[1].price: 3\na[1].reply.hours: 8", &[None, Some(0), Some(0)]);
        check("p.Tern.mass: 3\np.Gull.mass: 4\np.Gull.mast.height: 2", &[None, None, Some(1)]);
        check("a[1].name: Coast\n\na[1].price: 3", &[None, None]);
        check("name: Coast\nprice: 3\nterms.months: 12", &[None, Some(0), None]);
        check("part: 1; fits: Tern\npart: 2; fits: Gull", &[None, None]);
        check("name: A\nprice: 1\nname: B\nprice: 2", &[None, Some(0), None, Some(2)]);
        check("Owner: Finance\nRevenue up 12%\nState: open", &[None, None, None]);
    }

    #[test]
    fn survives_odd_text() {
        for text in ["", "\n\n", "|||", "- ", "###", "1.", ":", "\"\":", "\u{0}", "a\u{301}|b|c"] {
            units(text);
        }
    }
}
