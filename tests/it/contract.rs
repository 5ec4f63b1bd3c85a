//! What the Functions host reads and what the binary is made of must say the same. Tables in documents are made from code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use knowledge_worker::config::settings::{SETTINGS, as_markdown};
use knowledge_worker::config::source::Source;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::functions::{FUNCTIONS, Run, definitions};
use knowledge_worker::host::definition::Binding;
use knowledge_worker::host::schedule::Schedule;
use serde_json::Value;

use crate::support::app::{TestApp, get, post_json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn json(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

#[test]
fn folders_and_registry_are_the_same_functions() {
    let folders: BTreeSet<String> = fs::read_dir(root().join("function-definitions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let registry: BTreeSet<String> = FUNCTIONS.iter().map(|function| function.name.to_owned()).collect();
    assert_eq!(folders, registry);
    for name in &registry {
        assert!(root().join(format!("handler/functions/{name}.rs")).exists(), "{name} has a file of its own");
    }
}

#[test]
fn each_function_is_of_the_kind_its_definition_says() {
    for (function, (name, definition)) in FUNCTIONS.iter().zip(definitions()) {
        let is_http = matches!(definition.trigger(), Some(Binding::HttpTrigger { .. }));
        assert_eq!(is_http, matches!(function.run, Run::Http(_)), "{name}");
        // Who may come is the handler's to say, by what callers prove of themselves and not by a key that many know.
        if let Some(Binding::HttpTrigger { auth_level, .. }) = definition.trigger() {
            assert_eq!(auth_level, "anonymous", "{name}");
        }
        // The host passes requests on as they are only for exactly one HTTP trigger with one HTTP answer.
        let expected = if is_http { 2 } else { 1 };
        assert_eq!(definition.bindings.len(), expected, "{name}");
        if let Some(Binding::TimerTrigger { schedule, .. }) = definition.trigger() {
            schedule.parse::<Schedule>().unwrap();
        }
    }
}

#[test]
fn an_invocation_ends_itself_before_the_host_ends_the_process() {
    let host = json("host.json");
    let timeout = host["functionTimeout"].as_str().unwrap();
    let parts: Vec<u64> = timeout.split(':').map(|part| part.parse().unwrap()).collect();
    let host_seconds = parts[0] * 3_600 + parts[1] * 60 + parts[2];
    let ours = SETTINGS.iter().find(|setting| setting.name == "INVOCATION_TIMEOUT_SECONDS").unwrap();
    assert!(ours.default.unwrap().parse::<u64>().unwrap() < host_seconds);
}

#[test]
fn the_host_is_told_to_pass_requests_on_as_they_are() {
    let host = json("host.json");
    assert_eq!(host["version"], "2.0");
    assert_eq!(host["customHandler"]["enableProxyingHttpRequest"], true);
    assert_eq!(host["customHandler"]["enableForwardingHttpRequest"], true);
    assert_eq!(host["customHandler"]["description"]["defaultExecutablePath"], "handler");
    assert_eq!(host["extensions"]["http"]["routePrefix"], "");
}

#[test]
fn no_http_route_leads_a_post_to_a_trigger() {
    let triggers: Vec<&str> = FUNCTIONS
        .iter()
        .filter(|function| matches!(function.run, Run::Trigger(_)))
        .map(|function| function.name)
        .collect();
    assert_eq!(triggers.len(), 5);
    for (name, definition) in definitions() {
        let Some(Binding::HttpTrigger { methods, route, .. }) = definition.trigger() else { continue };
        if route.starts_with("{*") {
            assert_eq!(methods, &["get"], "the catch-all {name} takes GET alone");
            continue;
        }
        let first = route.split('/').next().unwrap();
        let known = ["api", "v1", "mcp", "chat", ".well-known"];
        assert!(known.contains(&first), "{name} has its first part written out, and it is no trigger's name");
        assert!(!triggers.contains(&first));
    }
}

#[tokio::test]
async fn a_get_of_a_triggers_path_does_nothing() {
    let test = TestApp::new();
    for name in ["ingest_document", "document_events", "document_poison", "maintain_index", "backup"] {
        test.send(get(&format!("/{name}"))).await.assert_problem("method-not-allowed");
    }
    test.send(post_json("/documents", "{}")).await.assert_problem("not-found");
    test.send(post_json("/api/ingest_document", "{}")).await.assert_problem("not-found");
}

#[test]
fn the_example_of_local_settings_has_every_setting() {
    let example = json("local.settings.example.json");
    let values = example["Values"].as_object().unwrap();
    let named: BTreeSet<&str> =
        values.keys().map(String::as_str).filter(|name| *name != "FUNCTIONS_WORKER_RUNTIME").collect();
    let table: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(named, table);
    for setting in SETTINGS.iter().filter(|setting| setting.name != "AzureWebJobsStorage") {
        assert_eq!(values[setting.name], setting.default.unwrap_or_default(), "{}", setting.name);
    }
    assert_eq!(values["FUNCTIONS_WORKER_RUNTIME"], "custom");
}

#[test]
fn the_readme_has_the_table_of_settings() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.contains(&as_markdown()),
        "run `handler settings --markdown` and paste it between the settings marks"
    );
}

#[test]
fn every_setting_of_the_table_is_read() {
    let files = fs::read_dir(root().join("handler/config")).unwrap().map(|file| file.unwrap().path());
    let sources: Vec<String> =
        files.filter(|file| !file.ends_with("settings.rs")).map(|file| fs::read_to_string(file).unwrap()).collect();
    for setting in SETTINGS {
        let quoted = format!("\"{}\"", setting.name);
        assert!(sources.iter().any(|source| source.contains(&quoted)), "{} is not read", setting.name);
    }
}

#[test]
fn bad_input_30_all_problems_are_told_at_once_and_no_value_is_shown() {
    let source = Source::of([
        ("MAX_WORKERS", "many"),
        ("LOG_LEVEL", "loud"),
        ("INDEX_LANGUAGE", "klingon"),
        ("AZURE_OPENAI_ENDPOINT", "not a web address"),
        ("AZURE_OPENAI_API_KEY", "s3cret-canary"),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=x;AccountKey=s3cret-canary"),
        ("CHUNK_TOKENS", "-1"),
        ("ENVIRONMENT", "prod"),
    ]);
    let problems = knowledge_worker::config::Config::from_source(&source, "handler".into()).unwrap_err();
    let named: BTreeSet<&str> = problems.iter().map(|problem| problem.name).collect();
    let expected = [
        "MAX_WORKERS",
        "LOG_LEVEL",
        "INDEX_LANGUAGE",
        "AZURE_OPENAI_CHAT_DEPLOYMENT",
        "AZURE_STORAGE_CONNECTION_STRING",
        "CHUNK_TOKENS",
        "CHUNK_OVERLAP_TOKENS",
        "AUTH",
    ];
    for name in expected {
        assert!(named.contains(name), "{name} is missing from {named:?}");
    }
    let shown = format!("{problems:?}{:?}{source:?}", source.shown());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn every_kind_of_error_has_a_code_of_its_own() {
    let codes: BTreeSet<&str> = ErrorKind::ALL.iter().map(|kind| kind.row().code).collect();
    assert_eq!(codes.len(), ErrorKind::ALL.len());
    for kind in ErrorKind::ALL {
        let row = kind.row();
        assert!((400..=599).contains(&row.status) && !row.title.is_empty(), "{row:?}");
    }
}
