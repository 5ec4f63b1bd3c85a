//! Thresholds: what a figure must reach for an evaluation to pass. What enters is `figure=value` or a file of such lines,
//! what leaves are floors that name a figure there is.

use std::fs;

use crate::error::{Error, ErrorKind, Result};
use crate::index::evaluate::MEASURES;

/// The figures of answers; those of rankings are in [`MEASURES`].
const ANSWER_FIGURES: &[&str] = &["citation", "answer", "abstention", "false-abstention"];

/// Which way a figure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The more the better.
    Up,
    /// The less the better.
    Down,
}

impl Direction {
    /// How a threshold reads.
    pub fn words(self) -> &'static str {
        match self {
            Self::Up => "at least",
            Self::Down => "at most",
        }
    }
}

/// Which way a figure gets better: only a false abstention is bad in itself.
pub fn direction_of(figure: &str) -> Direction {
    if figure == "false-abstention" { Direction::Down } else { Direction::Up }
}

/// The worst value that a figure may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// The figure.
    pub figure: &'static str,
    /// The value.
    pub value: f64,
}

impl Floor {
    /// Whether a value is good enough.
    pub fn is_met(&self, value: f64) -> bool {
        match direction_of(self.figure) {
            Direction::Up => value >= self.value,
            Direction::Down => value <= self.value,
        }
    }
}

/// What stands behind `--least`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Least {
    Floor(Floor),
    File(String),
}

/// Reads one `--least`. What has no `=` is the name of a file.
pub(super) fn parse(raw: &str) -> Result<Least, String> {
    if raw.contains('=') { floor(raw).map(Least::Floor) } else { Ok(Least::File(raw.to_owned())) }
}

/// All floors, those of files included: `figure=value` a line; what follows a `#` is a remark.
pub(super) fn floors(given: &[Least]) -> Result<Vec<Floor>> {
    let mut floors = Vec::new();
    for least in given {
        match least {
            Least::Floor(floor) => floors.push(*floor),
            Least::File(path) => floors.extend(read(path)?),
        }
    }
    Ok(floors)
}

fn read(path: &str) -> Result<Vec<Floor>> {
    let refused = |why: String| Error::new(ErrorKind::InvalidRequest, format!("cannot use {path}: {why}"));
    let text = fs::read_to_string(path).map_err(|e| refused("it cannot be read".to_owned()).caused_by(e))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty());
    lines.map(|line| floor(line).map_err(&refused)).collect()
}

fn floor(raw: &str) -> Result<Floor, String> {
    let (name, value) = raw.split_once('=').ok_or_else(|| format!("`{raw}` is not of the form figure=value"))?;
    let known = || MEASURES.iter().map(|(name, _)| *name).chain(ANSWER_FIGURES.iter().copied());
    let Some(figure) = known().find(|known| *known == name.trim()) else {
        return Err(format!("`{}` is not one of {}", name.trim(), known().collect::<Vec<_>>().join(", ")));
    };
    match value.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(Floor { figure, value }),
        _ => Err(format!("the value of {figure} must be from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_figures_and_files() {
        assert_eq!(parse(" ndcg@10 = 0.7"), Ok(Least::Floor(Floor { figure: "ndcg@10", value: 0.7 })));
        assert_eq!(parse("floors.txt"), Ok(Least::File("floors.txt".to_owned())));
        assert!(parse("ndcg@11=0.7").unwrap_err().contains("recall@20"));
        for value in ["", "NaN", "1.1", "-0.1", "high"] {
            assert!(parse(&format!("mrr={value}")).is_err(), "{value}");
        }
    }

    #[test]
    fn a_file_has_a_figure_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floors");
        fs::write(&path, "# of May\nmrr=0.5 # rounded down\n\ncitation=1\n").unwrap();
        let found = floors(&[Least::File(path.to_str().unwrap().to_owned())]).unwrap();
        assert_eq!(found, [Floor { figure: "mrr", value: 0.5 }, Floor { figure: "citation", value: 1.0 }]);
        fs::write(&path, "mrr 0.5").unwrap();
        assert!(floors(&[Least::File(path.to_str().unwrap().to_owned())]).is_err());
        assert!(floors(&[Least::File("nowhere".to_owned())]).is_err());
    }

    #[test]
    fn fewer_false_abstentions_are_better() {
        assert!(Floor { figure: "false-abstention", value: 0.1 }.is_met(0.05));
        assert!(!Floor { figure: "abstention", value: 0.1 }.is_met(0.05));
    }
}
