//! Damaged variants of documents of every format, put to the running program: `scripts/prove P5` at a small scale. The script
//! makes the damage, holds the oracle and counts; what is asserted here is that it ran, and what it found.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::app::program;

#[test]
fn a_hundred_damaged_variants_of_all_formats_hurt_nobody() {
    const VARIANTS: u64 = 100;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/prove.py");
    let run = Command::new("python3")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .args(["P5", "--seed", "1", "--n", &VARIANTS.to_string(), "--program"])
        .arg(program())
        .output()
        .expect("python3 is there");
    let complaints = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{complaints}");
    let found: Value = serde_json::from_slice(&run.stdout).expect("one line of JSON");
    assert_eq!(found["failures"], 0, "{complaints}");
    let total: u64 = found["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, VARIANTS, "every variant is in the ledger: {found}");
    // Damage that leaves everything readable, or nothing, would prove little.
    for outcome in ["indexed", "document-damaged", "document-unsupported"] {
        assert!(found["outcomes"][outcome].as_u64() > Some(5), "{found}");
    }
    assert!(found["formats"].as_object().unwrap().len() >= 18, "{found}");
}
