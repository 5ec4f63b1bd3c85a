//! What is fuzzed is what is shipped: every format has a target, and the readers are built with the same libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use knowledge_worker::ingest::formats::FORMATS;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names and versions of all packages in a lock file.
fn packages(lock_file: &str) -> BTreeSet<(String, String)> {
    let value = |line: Option<&str>, key: &str| {
        let quoted = line.and_then(|line| line.strip_prefix(key)).unwrap_or_default();
        quoted.trim_matches('"').to_owned()
    };
    let text = file(lock_file);
    let entries = text.split("[[package]]\n").skip(1).map(str::lines);
    entries.map(|mut lines| (value(lines.next(), "name = "), value(lines.next(), "version = "))).collect()
}

#[test]
fn every_format_has_a_fuzz_target() {
    let manifest = file("fuzz/Cargo.toml");
    for format in FORMATS {
        let target = format.extensions.iter().find(|extension| manifest.contains(&format!("name = \"{extension}\"")));
        let target = target.unwrap_or_else(|| panic!("no target in fuzz/Cargo.toml reads {}", format.name));
        let source = file(&format!("fuzz/targets/{target}.rs"));
        assert!(
            source.contains(&format!("fuzz_reader!(\"{target}\")")),
            "fuzz/targets/{target}.rs reads another format"
        );
    }
}

#[test]
fn readers_are_fuzzed_with_the_libraries_that_are_shipped() {
    const OF_FUZZING_ALONE: [&str; 3] = ["arbitrary", "knowledge-worker-fuzz", "libfuzzer-sys"];
    let (shipped, fuzzed) = (packages("Cargo.lock"), packages("fuzz/Cargo.lock"));
    assert!(fuzzed.len() > 50, "the lock file was read");
    let others: Vec<_> =
        fuzzed.difference(&shipped).filter(|(name, _)| !OF_FUZZING_ALONE.contains(&name.as_str())).collect();
    let how = "cp Cargo.lock fuzz/Cargo.lock && cargo metadata --manifest-path fuzz/Cargo.toml >/dev/null";
    assert!(others.is_empty(), "not in Cargo.lock: {others:?}; set it right with: {how}");
}
