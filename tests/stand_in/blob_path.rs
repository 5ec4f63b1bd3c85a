//! The path of a blob trigger, `container/pattern`: a blob's name enters, the captured parts of the pattern leave.

use anyhow::{Context, Result, ensure};

/// A parsed path of a blob trigger.
#[derive(Clone, Debug)]
pub struct BlobPath {
    pub container: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Capture(String),
}

impl BlobPath {
    pub fn parse(path: &str) -> Result<Self> {
        let (container, mut rest) = path.split_once('/').unwrap_or((path, ""));
        ensure!(!container.is_empty() && !container.contains('{'), "blob path `{path}` must name its container");
        let mut parts = Vec::new();
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').with_context(|| format!("`{path}` has an open brace"))? + open;
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_string()));
            }
            parts.push(Part::Capture(rest[open + 1..close].to_string()));
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Self { container: container.to_string(), parts })
    }

    /// The fixed beginning, to list by.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The captures of `blob_name`, or None when the pattern does not fit. A bare container takes every blob.
    pub fn captures(&self, blob_name: &str) -> Option<Vec<(String, String)>> {
        if self.parts.is_empty() {
            return Some(Vec::new());
        }
        let mut captures = Vec::new();
        fit(&self.parts, blob_name, &mut captures).then_some(captures)
    }
}

/// Greedy, and over slashes: `{name}` takes `2026/11/a.pdf` whole.
fn fit(parts: &[Part], rest: &str, captures: &mut Vec<(String, String)>) -> bool {
    match parts {
        [] => rest.is_empty(),
        [Part::Text(text), tail @ ..] => rest.strip_prefix(text.as_str()).is_some_and(|rest| fit(tail, rest, captures)),
        [Part::Capture(name), tail @ ..] => {
            let ends = rest.char_indices().map(|(position, _)| position).chain([rest.len()]).collect::<Vec<_>>();
            for end in ends.into_iter().rev() {
                captures.push((name.clone(), rest[..end].to_string()));
                if fit(tail, &rest[end..], captures) {
                    return true;
                }
                captures.pop();
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let path = BlobPath::parse("documents/in/{name}.{extension}").expect("the path is good");
        assert_eq!((path.container.as_str(), path.prefix()), ("documents", "in/"));
        let captures = path.captures("in/a/b.tar.gz").expect("the name fits");
        assert_eq!(captures, [("name".into(), "a/b.tar".into()), ("extension".into(), "gz".into())]);
        assert_eq!(path.captures("out/a.txt"), None);
        let whole = BlobPath::parse("documents/{name}").expect("the path is good");
        assert_eq!(whole.captures("2026/ä.pdf"), Some(vec![("name".into(), "2026/ä.pdf".into())]));
        assert_eq!(BlobPath::parse("documents").expect("good").captures("any"), Some(vec![]));
        assert!(BlobPath::parse("{container}/x").is_err());
    }
}
