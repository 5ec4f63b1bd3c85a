//! Tries to get something out of answers. What enters is a number of payloads and a seed, what leaves are the ways out that
//! were found. Include it with `#[path]`, or run it as the example `prove-answers`.

#![allow(dead_code, reason = "the test and the example use different parts of it")]

pub mod judge;
pub mod payloads;

use knowledge_worker::chat::outgoing::OutgoingFilter;
use knowledge_worker::chat::outgoing::allowlist::LinkAllowlist;

use self::payloads::{Chance, payload};

/// Answers that nothing is wrong with.
pub const HONEST: &str = include_str!("../../handler/chat/outgoing/honest.txt");

/// An answer as it leaves, given in these pieces.
pub fn outgoing(links: &LinkAllowlist, pieces: &[&str]) -> String {
    let mut filter = OutgoingFilter::new(links, vec!["Write to hr@fabrikam.org."]);
    let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
    out.push_str(&filter.finish());
    out
}

/// Judges `n` payloads, and cuts every one in `every` of them at each character. The ways out that were found.
pub fn prove(n: usize, seed: u64, every: usize) -> Vec<String> {
    let links = LinkAllowlist::parse(judge::HOST).expect("a list of one");
    let mut chance = Chance::new(seed);
    let (mut found, mut left) = (Vec::new(), Vec::with_capacity(n));
    for number in 0..n {
        let hostile = payload(&mut chance);
        let out = outgoing(&links, &[&hostile]);
        if number % every == 0 {
            for (at, _) in hostile.char_indices() {
                if outgoing(&links, &[&hostile[..at], &hostile[at..]]) != out {
                    found.push(format!("cut at {at}, it differs: {hostile:?}"));
                }
            }
        }
        if let Some(way) = judge::plainly(&out).or_else(|| judge::here(&out)) {
            found.push(format!("{way}\n    in  {hostile:?}\n    out {out:?}"));
        }
        left.push(out);
    }
    for (out, pages) in left.iter().zip(judge::of_npm(&left)) {
        for (reader, html) in pages {
            if let Some(way) = judge::way_out(&html) {
                found.push(format!("{reader}: {way}\n    out {out:?}"));
            }
        }
    }
    found
}

/// The honest answers that do not leave as they came.
pub fn changed() -> Vec<String> {
    let links = LinkAllowlist::parse(judge::HOST).expect("a list of one");
    let honest = HONEST.split("\n=====\n");
    honest.filter(|honest| outgoing(&links, &[honest]) != **honest).map(str::to_owned).collect()
}
