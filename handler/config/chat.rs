//! How questions are answered: what is found for them, what a model gets and may do, and what may leave.

use super::source::Reader;
use super::{bounded, fraction, switch};
use crate::chat::outgoing::allowlist::LinkAllowlist;
use crate::index::rank::RankSettings;

pub(super) fn example_questions(reader: &Reader<'_>) -> Vec<String> {
    let text = reader.text("EXAMPLE_QUESTIONS").unwrap_or_default();
    text.split(';').map(str::trim).filter(|question| !question.is_empty()).map(str::to_owned).collect()
}

pub(super) fn links(reader: &mut Reader<'_>) -> LinkAllowlist {
    let list = LinkAllowlist::parse(&reader.text("LINK_ALLOWLIST").unwrap_or_default());
    list.unwrap_or_else(|sentence| {
        reader.problem("LINK_ALLOWLIST", sentence);
        LinkAllowlist::default()
    })
}

/// Instructions and a passage need room beside the answer.
pub(super) fn context_tokens(reader: &mut Reader<'_>) -> usize {
    let tokens = reader.number("CHAT_CONTEXT_TOKENS", 2_000, 10_000_000);
    if reader.number("MAX_ANSWER_TOKENS", 1, 100_000) * 2 > tokens {
        reader.problem("MAX_ANSWER_TOKENS", "must be at most half of CHAT_CONTEXT_TOKENS");
    }
    usize::try_from(tokens).unwrap_or(usize::MAX)
}

pub(super) fn tool_rounds(reader: &mut Reader<'_>) -> usize {
    let rounds = bounded(reader, "MAX_TOOL_ROUNDS", 1, 10);
    if switch(reader, "TOOLS") { rounds } else { 0 }
}

pub(super) fn evidence_similarity(reader: &mut Reader<'_>) -> Option<f32> {
    reader.text("EVIDENCE_SIMILARITY")?;
    Some(fraction(reader, "EVIDENCE_SIMILARITY", 1.0, 0.0..=1.0))
}

pub(super) fn ranking(reader: &mut Reader<'_>) -> RankSettings {
    let usual = RankSettings::default();
    RankSettings {
        words_weight: fraction(reader, "RETRIEVAL_WORDS_WEIGHT", usual.words_weight, 0.0..=100.0),
        vectors_weight: fraction(reader, "RETRIEVAL_VECTORS_WEIGHT", usual.vectors_weight, 0.0..=100.0),
        over_sampling: fraction(reader, "VECTOR_OVER_SAMPLING", usual.over_sampling, 0.0..=10.0),
        ..usual
    }
}
