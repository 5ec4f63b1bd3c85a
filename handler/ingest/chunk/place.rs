//! From the places of the blocks of a passage to the place of the passage. A place is `key=value`: cells of a sheet, lines
//! of a source, a moment of a recording, a part of a message. Pages are no places: they are numbers and go their own way.

/// Whether two blocks may share a passage: not when they stand on different sheets or in different parts.
pub fn same_part(one: Option<&str>, other: Option<&str>) -> bool {
    part_of(one) == part_of(other)
}

/// From the first to the last of some places of one part: of cells the range around them, of lines from the first to the
/// last, else the first place, where reading or listening begins.
pub fn join<'p>(places: impl Iterator<Item = &'p str>) -> Option<String> {
    let mut joined: Option<String> = None;
    for place in places {
        joined = Some(match joined {
            None => place.to_owned(),
            Some(so_far) => around(&so_far, place).unwrap_or(so_far),
        });
    }
    joined
}

/// What a passage must not leave. Moments and lines follow one another, so a passage may go from one to the next.
fn part_of(place: Option<&str>) -> Option<&str> {
    let place = place?;
    match place.split_once('=')? {
        ("t" | "lines", _) => None,
        ("sheet", _) => place.rsplit_once('!').map(|(sheet, _)| sheet),
        _ => Some(place),
    }
}

fn around(one: &str, other: &str) -> Option<String> {
    if let (Some(one), Some(other)) = (one.strip_prefix("lines="), other.strip_prefix("lines=")) {
        let (first, last) = (one.split('-').next()?, other.rsplit('-').next()?);
        return Some(format!("lines={first}-{last}"));
    }
    let ((sheet, one), (same_sheet, other)) = (one.rsplit_once('!')?, other.rsplit_once('!')?);
    if sheet != same_sheet {
        return None;
    }
    let (one, other) = (Cells::parse(one)?, Cells::parse(other)?);
    let (left, right) = (shorter_first(one.left, other.left).0, shorter_first(one.right, other.right).1);
    let (top, bottom) = (one.top.min(other.top), one.bottom.max(other.bottom));
    Some(format!("{sheet}!{left}{top}:{right}{bottom}"))
}

/// A range of cells as it is written: `A2:D40`.
struct Cells<'p> {
    left: &'p str,
    top: u32,
    right: &'p str,
    bottom: u32,
}

impl<'p> Cells<'p> {
    fn parse(range: &'p str) -> Option<Self> {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let ((left, top), (right, bottom)) = (split_cell(from)?, split_cell(to)?);
        Some(Self { left, top, right, bottom })
    }
}

fn split_cell(cell: &str) -> Option<(&str, u32)> {
    let (column, row) = cell.split_at(cell.find(|c: char| c.is_ascii_digit())?);
    Some((column, row.parse().ok()?))
}

/// Columns by their order: `B` before `C` before `AA`.
fn shorter_first<'p>(one: &'p str, other: &'p str) -> (&'p str, &'p str) {
    if (one.len(), one) <= (other.len(), other) { (one, other) } else { (other, one) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_first_to_last() {
        let join = |places: &[&str]| join(places.iter().copied());
        assert_eq!(join(&[]), None);
        assert_eq!(join(&["sheet=A!B2:D2", "sheet=A!A3:C3"]).as_deref(), Some("sheet=A!A2:D3"));
        assert_eq!(join(&["sheet=A!B!Z9:AB9", "sheet=A!B!Y10:Z10"]).as_deref(), Some("sheet=A!B!Y9:AB10"));
        assert_eq!(join(&["lines=3-9", "lines=11-40"]).as_deref(), Some("lines=3-40"));
        assert_eq!(join(&["t=00:01:20", "t=00:01:31"]).as_deref(), Some("t=00:01:20"));
        assert_eq!(join(&["part=a", "part=a"]).as_deref(), Some("part=a"));
    }

    #[test]
    fn tells_parts_apart() {
        assert!(same_part(Some("sheet=A!A1:B1"), Some("sheet=A!A2:B2")));
        assert!(!same_part(Some("sheet=A!A1:B1"), Some("sheet=B!A2:B2")));
        assert!(!same_part(None, Some("part=a")));
        assert!(same_part(Some("t=00:00:01"), Some("t=00:00:02")));
    }
}
