//! Footnotes and endnotes of a Word document, each as one text, by kind and id.

use std::collections::HashMap;

use crate::error::Result;
use crate::ingest::formats::ExtractLimits;
use crate::ingest::formats::markup::{Node, walk};

/// The text of each note, by its kind (`footnote`, `endnote`) and its id.
pub type Notes = HashMap<(String, String), String>;

/// Adds the notes of a part to `notes`. Lines that part notes from the text are no notes and have no text.
pub fn read_notes(part: &[u8], limits: &ExtractLimits, notes: &mut Notes) -> Result<()> {
    let mut at_hand: Option<((String, String), String)> = None;
    let (mut is_text, mut deleted) = (false, 0_usize);
    walk(part, limits, |node| {
        match node {
            Node::Open(tag) => match tag.name() {
                "footnote" | "endnote" => {
                    at_hand = tag.attribute("id").map(|id| ((tag.name().to_owned(), id), String::new()));
                }
                "del" | "moveFrom" => deleted += 1,
                "t" => is_text = true,
                _ => {}
            },
            Node::Close(name) => match name {
                "footnote" | "endnote" => notes.extend(at_hand.take().filter(|(_, text)| !text.trim().is_empty())),
                "del" | "moveFrom" => deleted = deleted.saturating_sub(1),
                "t" => is_text = false,
                "p" => at_hand.iter_mut().for_each(|(_, text)| text.push('\n')),
                _ => {}
            },
            Node::Text(piece) if is_text && deleted == 0 => {
                at_hand.iter_mut().for_each(|(_, text)| text.push_str(piece));
            }
            Node::Text(_) => {}
        }
        Ok(())
    })
}
