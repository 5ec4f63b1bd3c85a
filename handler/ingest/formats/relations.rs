//! How the parts of an Office document name one another: beside each part stands a list of relations, from an id and a
//! type to another part.

use crate::error::Result;
use crate::ingest::formats::ExtractLimits;
use crate::ingest::formats::markup::{Node, walk};
use crate::ingest::formats::package::Package;

/// A pointer from one part to another.
pub struct Relation {
    /// What the part calls it.
    pub id: String,
    /// The last word of its type: `slide`, `notesSlide`, `officeDocument`.
    pub kind: String,
    /// The name of the part it leads to.
    pub target: String,
}

/// The relations of a part, in order; none where there are none. `""` stands for the document as a whole. What leads
/// out of the document is left out.
pub fn relations(package: &mut Package<'_>, part: &str, limits: &ExtractLimits) -> Result<Vec<Relation>> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let list = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
    let mut found = Vec::new();
    let Some(bytes) = package.part(&list)? else { return Ok(found) };
    walk(&bytes, limits, |node| {
        let Node::Open(tag) = node else { return Ok(()) };
        let is_outside = tag.attribute("TargetMode").is_some_and(|mode| mode == "External");
        if tag.name() == "Relationship"
            && !is_outside
            && let (Some(id), Some(kind), Some(target)) =
                (tag.attribute("Id"), tag.attribute("Type"), tag.attribute("Target"))
        {
            let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
            found.push(Relation { id, kind, target: resolve(folder, &target) });
        }
        Ok(())
    })?;
    Ok(found)
}

/// The part in which the text of an Office document begins: what its relations say, else the usual one.
pub fn main_part(package: &mut Package<'_>, usual: &str, limits: &ExtractLimits) -> Result<String> {
    let relations = relations(package, "", limits)?;
    let main = relations.into_iter().find(|relation| relation.kind == "officeDocument");
    Ok(main.map_or_else(|| usual.to_owned(), |main| main.target))
}

/// The title that an Office document says it has.
pub fn core_title(package: &mut Package<'_>, limits: &ExtractLimits) -> Result<Option<String>> {
    element_text(package, "docProps/core.xml", "title", limits)
}

/// The text of the first element of a name in a part, where both are there.
pub fn element_text(
    package: &mut Package<'_>,
    part: &str,
    name: &str,
    limits: &ExtractLimits,
) -> Result<Option<String>> {
    let Some(bytes) = package.part(part)? else { return Ok(None) };
    let (mut text, mut is_inside, mut is_done) = (String::new(), false, false);
    walk(&bytes, limits, |node| {
        match node {
            Node::Open(tag) if !is_done && tag.name() == name => is_inside = true,
            Node::Close(closed) if closed == name => (is_inside, is_done) = (false, true),
            Node::Text(piece) if is_inside => text.push_str(piece),
            Node::Open(_) | Node::Close(_) | Node::Text(_) => {}
        }
        Ok(())
    })?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// A path as seen from a folder of the archive. It can only name a part of the archive, however many `..` it has.
pub fn resolve(folder: &str, target: &str) -> String {
    let mut segments: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn resolves_paths_inside_the_archive() {
        assert_eq!(resolve("ppt", "slides/slide1.xml"), "ppt/slides/slide1.xml");
        assert_eq!(resolve("ppt/slides", "../notesSlides/n.xml"), "ppt/notesSlides/n.xml");
        assert_eq!(resolve("ppt", "/word/document.xml"), "word/document.xml");
        assert_eq!(resolve("", "../../../etc/passwd"), "etc/passwd");
    }
}
