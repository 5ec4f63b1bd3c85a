//! Who may use whom: the sources are read, and an arrow that the table does not allow fails the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that everybody may use: the shared words.
const SHARED: &[&str] = &[
    "bounded",
    "breaker",
    "error",
    "document",
    "deadline",
    "clock",
    "crash",
    "identity",
    "json",
    "key_vault",
    "reason",
    "sealed",
    "secret",
    "telemetry",
    "tokens",
    "web_address",
];

/// The allowed arrows. `app` wires the parts and may use everything below it; `cli` and `main` are the doors.
const ALLOWED: &[(&str, &[&str])] = &[
    ("main", &["cli", "ingest"]),
    (
        "cli",
        &[
            "access",
            "config",
            "actions",
            "app",
            "audit",
            "backup",
            "cache",
            "conversations",
            "functions",
            "host",
            "chat",
            "ingest",
            "index",
            "models",
            "privacy",
            "stores",
        ],
    ),
    (
        "functions",
        &[
            "actions",
            "app",
            "audit",
            "backup",
            "conversations",
            "host",
            "access",
            "dialects",
            "mcp",
            "chat",
            "ingest",
            "index",
            "models",
            "stores",
        ],
    ),
    ("conversations", &["chat", "models", "stores"]),
    ("mcp", &["chat", "index", "ingest"]),
    ("dialects", &["chat", "index", "models"]),
    ("access", &["cache", "host", "stores"]),
    ("actions", &["audit", "chat", "index", "stores"]),
    ("audit", &["stores"]),
    ("cache", &[]),
    ("privacy", &["access", "actions", "audit", "conversations", "index", "ingest", "stores"]),
    (
        "app",
        &[
            "access",
            "actions",
            "audit",
            "config",
            "backup",
            "cache",
            "chat",
            "conversations",
            "ingest",
            "index",
            "models",
            "privacy",
            "stores",
        ],
    ),
    ("chat", &["cache", "index", "models"]),
    ("ingest", &["index", "models", "stores"]),
    ("backup", &["index", "stores"]),
    ("index", &["stores"]),
    ("models", &[]),
    ("stores", &[]),
    ("host", &[]),
    // Each module owns the struct of its settings; config fills them in.
    ("config", &["access", "actions", "cache", "chat", "ingest", "index", "models", "stores"]),
    ("bounded", &[]),
    ("breaker", &[]),
    ("error", &[]),
    ("deadline", &[]),
    ("document", &[]),
    ("clock", &[]),
    ("crash", &[]),
    ("identity", &[]),
    ("json", &[]),
    ("key_vault", &[]),
    ("secret", &[]),
    ("reason", &[]),
    ("telemetry", &[]),
    ("sealed", &[]),
    ("tokens", &[]),
    ("web_address", &[]),
];

/// Words of HTTP, and the modules that may speak them.
const HTTP: (&[&str], &[&str]) =
    (&["axum::", "hyper::", "hyper_util::", "http_body_util::"], &["cli", "host", "functions", "access"]);

/// A vendor's client, and the places that may use it.
const VENDORS: &[(&str, &[&str])] = &[
    ("azure_storage_blob", &["stores/blobs/azure/"]),
    ("azure_identity", &["identity.rs"]),
    ("azure_security_keyvault_secrets", &["key_vault.rs"]),
    ("jsonwebtoken", &["access/"]),
    ("redis::aio", &["cache/redis.rs"]),
    ("moka", &["cache/mod.rs", "access/limits/window.rs", "chat/passage_terms.rs", "index/segments/passages.rs"]),
    ("azure_data_cosmos", &["stores/records/cosmos/"]),
    ("rusqlite", &["stores/records/sqlite.rs"]),
    ("async_openai", &["models/openai/"]),
    ("sse_stream", &["models/openai/events.rs"]),
    (
        "reqwest",
        &[
            "access/jwks.rs",
            "ingest/fetch.rs",
            "models/openai/",
            "index/azure_search/client.rs",
            "telemetry/export/",
            "actions/webhook.rs",
        ],
    ),
    ("lettre", &["actions/email.rs", "actions/smtp.rs"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_otlp", &["telemetry/export/"]),
    ("opentelemetry_application_insights", &["telemetry/export/"]),
    ("tracing_opentelemetry", &["telemetry/"]),
    ("tantivy", &["index/segments/"]),
    ("hayro", &["ingest/formats/pdf/"]),
    ("calamine", &["ingest/formats/spreadsheet/"]),
    ("mail_parser", &["ingest/formats/mail.rs"]),
    ("quick_xml", &["ingest/formats/markup.rs"]),
];

/// Lines of a source file, as a habit and at most.
const MOST_LINES: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(found.len() > 30, "the sources were found");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("handler")
}

/// The top-level module of a file.
fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(root()).unwrap();
    relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The top-level modules a source names, whether with `use` or in passing. Unit tests may use what they like.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let without_comments =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for start in ["crate::", "knowledge_worker::"] {
        for (at, _) in without_comments.match_indices(start) {
            let rest = &without_comments[at + start.len()..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            used.insert(name);
        }
    }
    used
}

#[test]
fn no_module_uses_one_it_may_not() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (path, text) in sources() {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let may = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not in the table"));
        for used in used_modules(&text) {
            let fine = used == module || SHARED.contains(&used.as_str()) || may.contains(&used.as_str());
            assert!(fine, "{} uses {used}, which {module} may not", path.display());
        }
    }
}

#[test]
fn http_stays_at_the_doors() {
    for (path, text) in sources() {
        let module = module_of(&path);
        for word in HTTP.0.iter().filter(|word| text.contains(*word)) {
            assert!(HTTP.1.contains(&module.as_str()), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn a_vendors_client_stays_in_its_place() {
    for (path, text) in sources() {
        let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        for (vendor, places) in VENDORS {
            let used =
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{vendor}::")));
            assert!(!used || places.iter().any(|place| relative.starts_with(place)), "{relative} uses {vendor}");
        }
    }
}

#[test]
fn reading_all_passages_is_for_the_operator_alone() {
    let named: BTreeSet<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.contains("export_all_passages"))
        .map(|(path, _)| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected = ["cli/index/export.rs", "index/segments/export.rs"].map(str::to_owned);
    assert_eq!(named, BTreeSet::from(expected), "every other reading of passages takes a principal");
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//!") || first.starts_with("#![doc"), "{} does not say what it is", path.display());
        assert!(text.lines().count() <= MOST_LINES, "{} is longer than {MOST_LINES} lines", path.display());
    }
}
