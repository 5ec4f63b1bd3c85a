//! Tries `--n=N` payloads of a `--seed=S` on what lets answers out, has them read by four readers of Markdown, and prints one
//! line of JSON. The status is 1 when something got out, or an honest answer was changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot go on fails, and says where")]

#[path = "mod.rs"]
mod hostile_answers;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, usual: usize| {
        let given = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        given.map_or(usual, |text| text.parse().expect("a number"))
    };
    let (n, seed) = (number("--n", 10_000), number("--seed", 1));
    let began = Instant::now();
    let mut found = hostile_answers::prove(n, seed as u64, 1);
    found.extend(hostile_answers::changed());
    for way in found.iter().take(20) {
        eprintln!("P8: {way}");
    }
    let seconds = began.elapsed().as_secs_f64();
    let line =
        serde_json::json!({ "promise": "P8", "n": n, "failures": found.len(), "seconds": seconds, "seed": seed });
    println!("{line}");
    ExitCode::from(u8::from(!found.is_empty()))
}
