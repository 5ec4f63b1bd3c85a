//! Books. The chapters of an EPUB come out in the order in which they are read, each of them an HTML page with its headings;
//! the page of contents is left out, because every line of it is a heading elsewhere.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::error::Result;
use crate::ingest::formats::blocks::Blocks;
use crate::ingest::formats::markup::{Node, walk};
use crate::ingest::formats::package::{Package, damaged, declares, fit, locked};
use crate::ingest::formats::relations::{element_text, resolve};
use crate::ingest::formats::{ExtractLimits, Extracted, Format, html, text};

/// EPUB 2 and 3.
pub const FORMAT: Format = Format {
    name: "EPUB",
    extensions: &["epub"],
    sniff: |bytes| {
        fit(bytes, |names, bytes| {
            declares(bytes, "application/epub+zip") || names.iter().any(|name| name == "META-INF/container.xml")
        })
    },
    read,
};

fn read(bytes: &[u8], limits: &ExtractLimits) -> Result<Extracted> {
    let mut package = Package::open(bytes, limits)?;
    let book = book_part(&mut package, limits)?;
    let title = element_text(&mut package, &book, "title", limits)?;
    let chapters = chapters(&mut package, &book, limits)?;
    refuse_locked(&mut package, &chapters, limits)?;
    let mut blocks = Blocks::new(limits);
    for chapter in &chapters {
        let Some(page) = package.part(chapter)? else { continue };
        let source = close_empty(&text::decode(&page)?);
        (_, blocks) = html::read_page(&source, blocks, None)?;
    }
    let title = title.or_else(|| blocks.first_heading());
    Ok(blocks.finish(title, None))
}

/// The part that lists the chapters.
fn book_part(package: &mut Package<'_>, limits: &ExtractLimits) -> Result<String> {
    let mut found = None;
    walk(&package.needed("META-INF/container.xml")?, limits, |node| {
        if let Node::Open(tag) = node
            && tag.name() == "rootfile"
            && found.is_none()
        {
            found = tag.attribute("full-path");
        }
        Ok(())
    })?;
    found.ok_or_else(|| damaged("its list of chapters"))
}

/// The parts of all chapters, in reading order.
fn chapters(package: &mut Package<'_>, book: &str, limits: &ExtractLimits) -> Result<Vec<String>> {
    let folder = book.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (mut parts, mut order) = (HashMap::new(), Vec::new());
    walk(&package.needed(book)?, limits, |node| {
        let Node::Open(tag) = node else { return Ok(()) };
        match tag.name() {
            "item" => {
                let is_contents =
                    tag.attribute("properties").is_some_and(|said| said.split(' ').any(|word| word == "nav"));
                let is_page = tag.attribute("media-type").is_some_and(|said| said.contains("html"));
                if let (Some(id), Some(href), true) =
                    (tag.attribute("id"), tag.attribute("href"), is_page && !is_contents)
                {
                    let path = percent_decode_str(&href).decode_utf8_lossy().into_owned();
                    parts.insert(id, resolve(folder, &path));
                }
            }
            "itemref" => order.extend(tag.attribute("idref")),
            _ => {}
        }
        Ok(())
    })?;
    Ok(order.iter().filter_map(|id| parts.remove(id)).collect())
}

/// Refuses a book whose chapters are locked. Fonts may be: nobody reads them.
fn refuse_locked(package: &mut Package<'_>, chapters: &[String], limits: &ExtractLimits) -> Result<()> {
    let Some(list) = package.part("META-INF/encryption.xml")? else { return Ok(()) };
    let mut is_locked = false;
    walk(&list, limits, |node| {
        if let Node::Open(tag) = node
            && tag.name() == "CipherReference"
        {
            is_locked |= tag.attribute("URI").is_some_and(|part| chapters.contains(&resolve("", &part)));
        }
        Ok(())
    })?;
    if is_locked { Err(locked()) } else { Ok(()) }
}

/// In XML an element may end where it begins, `<title/>`; a reader of HTML would take the whole chapter for its content.
fn close_empty(source: &str) -> String {
    const SWALLOWING: [&str; 6] = ["title", "script", "style", "textarea", "iframe", "noscript"];
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(end);
        let name = tag[1..].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if !(tag.ends_with("/>") && SWALLOWING.contains(&name)) {
            out.push_str(tag);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::close_empty;

    #[test]
    fn drops_empty_elements_that_would_swallow_a_chapter() {
        let source = "<head><title/><script src='a'/></head><p>a<br/>b</p> < <";
        assert_eq!(close_empty(source), "<head></head><p>a<br/>b</p> < <");
    }
}
