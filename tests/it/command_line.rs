//! The commands as a person or a script runs them: what they print, and the status they end with.

use knowledge_worker::config::settings::SETTINGS;
use serde_json::Value;

use crate::support::process::{Place, sample};

const HANDBOOK: &str = "handbook/staff-handbook.pdf";
const LEAVE: &str = "How many days of paid annual leave do I get each calendar year?";

/// A place in which a folder was ingested.
fn with_samples() -> Place {
    let place = Place::new();
    place.write("papers/handbook/staff-handbook.pdf", sample(HANDBOOK));
    place.write("papers/data-retention.md", sample("data-retention.md"));
    place.run(&["ingest", "papers"]).assert_status(0);
    place
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

#[test]
fn help_names_every_command_and_shows_how_to_begin() {
    let place = Place::new();
    let help = place.run(&["--help"]).assert_status(0).stdout;
    for command in [
        "serve",
        "ingest",
        "ask",
        "chat",
        "feedback",
        "search",
        "documents",
        "evaluate",
        "maintain",
        "index",
        "backup",
        "restore",
        "settings",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command} in {help}");
        let own = place.run(&[command, "--help"]).assert_status(0).stdout;
        assert!(own.contains(&format!("Usage: handler {command}")) && own.contains("--json"), "{own}");
    }
    assert!(help.contains("Examples:") && help.contains("handler ask \""), "{help}");
    assert!(!help.contains("extract "), "the reader's own command is nobody's business");
}

#[test]
fn without_arguments_the_help_is_shown_and_nothing_is_made() {
    let place = Place::new();
    let ran = place.run(&[]).assert_status(2);
    assert!(ran.stdout.contains("Usage: handler") && ran.stdout.contains("ingest"), "{ran:?}");
    assert!(!place.path("data").exists());
}

#[test]
fn what_is_no_command_is_refused_with_a_hint() {
    let place = Place::new();
    let wrong: [(&[&str], &str); 8] = [
        (&["serv"], "serve"),
        (&["ask"], "QUESTION"),
        (&["ingest"], "PATH"),
        (&["serve", "--listen", "everywhere"], "--listen"),
        (&["search", "--top", "many", "x"], "--top"),
        (&["search", "--top", "0", "x"], "--top"),
        (&["search", "--top", "18446744073709551615", "x"], "--top"),
        (&["documents", "--state", "lost"], "--state"),
    ];
    for (arguments, hint) in wrong {
        let ran = place.run(arguments).assert_status(2);
        assert!(ran.stderr.contains(hint) && ran.stdout.is_empty(), "{ran:?}");
    }
}

#[test]
fn ingesting_lists_each_file_and_the_reason_of_the_one_that_is_broken() {
    let place = Place::new();
    place.write("papers/good.md", "# Ropes\n\nThe ropes are renewed in May.");
    place.write("papers/broken.pdf", &sample(HANDBOOK)[..3_000]);
    place.write("papers/.hidden.txt", "nobody asks about this");
    let ran = place.run(&["ingest", "papers"]).assert_status(1);
    let row = |name: &str| ran.stdout.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(row("good.md").contains("indexed"), "{ran:?}");
    let broken = row("broken.pdf");
    assert!(broken.contains("quarantined") && broken.contains("document-damaged"), "{broken}");
    assert!(ran.stdout.contains("1 of 2 can be found") && !ran.stdout.contains("hidden"), "{ran:?}");
    place.run(&["ask", "When are the ropes renewed?"]).assert_status(0);

    let listed = place.run(&["--json", "documents", "--state", "quarantined"]).assert_status(0).json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 1);
    assert_eq!(text(&listed, "/documents/0/name"), "broken.pdf");
    assert!(text(&listed, "/documents/0/error/message").contains("cut off"), "{listed}");
    let listed = place.run(&["documents", "--state", "quarantined"]).assert_status(0).stdout;
    assert!(listed.contains("broken.pdf") && !listed.contains("good.md"), "{listed}");
}

#[test]
fn ingesting_what_is_not_there_says_so() {
    let place = Place::new();
    let ran = place.run(&["ingest", "nowhere/report.pdf"]).assert_status(1);
    assert!(ran.stderr.contains("nowhere/report.pdf"), "{ran:?}");
}

#[test]
fn an_answer_names_file_and_page() {
    let place = with_samples();
    let ran = place.run(&["ask", LEAVE]).assert_status(0);
    let (answer, sources) = ran.stdout.split_once("Sources").unwrap_or_else(|| panic!("{ran:?}"));
    assert!(answer.contains("27 days") && answer.contains("[1]"), "{ran:?}");
    assert!(sources.contains("[1] handbook/staff-handbook.pdf#page=5"), "{ran:?}");

    let said = place.run(&["ask", "--json", LEAVE]).assert_status(0).json();
    assert!(text(&said, "/answer").contains("27 days"), "{said}");
    assert_eq!(said["abstained"], false);
    assert_eq!(text(&said, "/citations/0/source"), "handbook/staff-handbook.pdf#page=5");
}

#[test]
fn what_nobody_knows_ends_with_one() {
    let place = with_samples();
    let question = "Who won the chess olympiad in Batumi?";
    let ran = place.run(&["ask", question]).assert_status(1);
    assert!(!ran.stdout.contains("Sources") && ran.stdout.contains("know"), "{ran:?}");
    let said = place.run(&["ask", "--json", question]).assert_status(1).json();
    assert_eq!((&said["abstained"], said["citations"].as_array().unwrap().len()), (&Value::Bool(true), 0));
    let blank = place.run(&["ask", " \u{200b}"]).assert_status(1);
    assert!(blank.stderr.contains("empty"), "{blank:?}");
}

#[test]
fn searching_shows_the_passages_and_where_they_are() {
    let place = with_samples();
    let ran = place.run(&["search", "cameras", "on", "the", "quay"]).assert_status(0);
    assert!(ran.stdout.starts_with("1. data-retention.md") && ran.stdout.contains("Cameras"), "{ran:?}");
    let found = place.run(&["search", "--json", "--top", "2", "annual leave"]).assert_status(0).json();
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    assert!(text(&found, "/results/0/source").starts_with("handbook/staff-handbook.pdf#page="), "{found}");
    assert!(text(&found, "/results/0/passage/text").contains("leave"), "{found}");
    place.run(&["search", "xylophone"]).assert_status(1);
    let none = place.run(&["search", "--json", "xylophone"]).assert_status(1).json();
    assert_eq!(none["results"].as_array().unwrap().len(), 0);
}

#[test]
fn the_same_file_again_is_not_indexed_again() {
    let place = with_samples();
    let generation = || place.run(&["search", "--json", "leave"]).json()["generation"].as_u64().unwrap();
    let before = (generation(), place.run(&["documents", "--json"]).json());
    let again = place.run(&["ingest", "--json", "papers"]).assert_status(0).json();
    assert_eq!((&again["indexed"], &again["not_indexed"]), (&2.into(), &0.into()));
    assert_eq!(generation(), before.0, "nothing was written into the index");
    let after = place.run(&["documents", "--json"]).json();
    for (then, now) in before.1["documents"].as_array().unwrap().iter().zip(after["documents"].as_array().unwrap()) {
        assert_eq!((&then["content_hash"], &then["passages"]), (&now["content_hash"], &now["passages"]));
    }
    place.write("papers/data-retention.md", "Everything is kept for 40 years.");
    place.run(&["ingest", "papers"]).assert_status(0);
    assert!(generation() > before.0);
}

#[test]
fn one_document_is_shown_tried_again_and_deleted() {
    let place = with_samples();
    place.write("papers/broken.pdf", &sample(HANDBOOK)[..3_000]);
    place.run(&["ingest", "papers"]).assert_status(1);
    let stats = place.run(&["documents", "stats", "--json"]).assert_status(0).json();
    assert_eq!((&stats["documents"], &stats["by_state"]["quarantined"]), (&3.into(), &1.into()), "{stats}");
    let shown = place.run(&["documents", "show", "--json", HANDBOOK]).assert_status(0).json();
    assert_eq!(text(&shown, "/state"), "indexed");
    let by_id = place.run(&["documents", "show", text(&shown, "/id")]).assert_status(0).stdout;
    assert!(by_id.contains(HANDBOOK) && by_id.contains("26"), "{by_id}");
    let retried = place.run(&["documents", "retry", "broken.pdf", "--json"]).assert_status(1).json();
    assert_eq!((text(&retried, "/state"), &retried["attempts"]), ("quarantined", &1.into()), "{retried}");
    let refused = place.run(&["documents", "retry", HANDBOOK]).assert_status(1);
    assert!(refused.stderr.contains("only a failed or quarantined document"), "{refused:?}");
    let deleted = place.run(&["documents", "delete", "broken.pdf", "--json"]).assert_status(0).json();
    assert_eq!(deleted["deleted"], true);
    assert!(!place.path("data/documents/broken.pdf").exists());
    let listed = place.run(&["documents", "list", "--state", "indexed", "--json"]).assert_status(0).json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 2);
    let none = place.run(&["documents", "--category", "maps", "--json"]).assert_status(0).json();
    assert_eq!(none["documents"].as_array().unwrap().len(), 0);
    assert!(place.run(&["documents", "show", "nowhere.txt"]).assert_status(1).stderr.contains("nowhere.txt"));
}

#[test]
fn a_conversation_is_lines_in_and_answers_out() {
    let place = Place::new();
    place.write("ferry.md", "# Ferry\n\nThe ferry leaves at nine. The ferry costs four crowns.\n");
    place.run(&["ingest", "ferry.md"]).assert_status(0);
    place.write("questions.txt", "When does the ferry leave?\nWhat does the ferry cost?\n\nnot read any more\n");
    let talk = |arguments: &[&str]| place.run_reading("questions.txt", arguments);
    let said = talk(&["chat", "--conversation", "c-1"]).assert_status(0);
    assert!(said.stdout.contains("at nine") && said.stdout.contains("four crowns"), "{said:?}");
    assert_eq!(said.stdout.matches("Sources").count(), 2, "{said:?}");
    let again = talk(&["chat", "--json", "--conversation", "c-1"]).assert_status(0);
    let turns: Vec<Value> = again.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<&Value> = turns.iter().map(|turn| &turn["turn"]).collect();
    assert_eq!(numbers, [3, 4], "it goes on where it was");
    let bad = talk(&["chat", "--conversation", "../x"]).assert_status(1);
    assert!(bad.stderr.contains("conversation id"), "{bad:?}");
    assert_eq!(place.run(&["feedback"]).assert_status(0).stdout, "", "nobody has said anything");
}

#[test]
fn maintenance_reports_what_it_found_and_can_be_asked_again() {
    let place = with_samples();
    let before = place.run(&["maintain", "--report"]).assert_status(0);
    assert!(before.stdout.contains("not run yet"), "{before:?}");
    assert_eq!(place.run(&["maintain", "--report", "--json"]).assert_status(0).json(), Value::Null);

    place.write("data/documents/dropped.txt", "The ferry leaves at seven.");
    std::fs::remove_file(place.path("data/documents/data-retention.md")).unwrap();
    let ran = place.run(&["maintain"]).assert_status(0);
    assert!(ran.stdout.contains("1 indexed, 1 removed, 0 quarantined, 0 failed"), "{ran:?}");
    assert!(ran.stdout.contains("dropped.txt") && ran.stdout.contains("data-retention.md"), "{ran:?}");
    assert_eq!(place.run(&["maintain", "--report"]).assert_status(0).stdout, ran.stdout);
    let report = place.run(&["--json", "maintain", "--report"]).assert_status(0).json();
    assert_eq!((&report["blobs"], &report["drift"]["missing"]), (&2.into(), &1.into()), "{report}");
    let second = place.run(&["maintain", "--json"]).assert_status(0).json();
    assert_eq!((&second["indexed"], &second["removed"]), (&0.into(), &0.into()), "{second}");
}

#[test]
fn settings_say_where_they_come_from_and_keep_secrets() {
    let place = Place::new();
    let settings = [
        ("MAX_WORKERS", "3"),
        ("OPENAI_API_KEY", "canary-key"),
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "AccountName=a;AccountKey=Y2FuYXJ5LWtleQ==;EndpointSuffix=core.windows.net",
        ),
    ];
    let shown = place.run_with(&settings, &["settings", "--json"]).assert_status(0).json();
    let rows = shown["settings"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(rows.len(), SETTINGS.len());
    assert_eq!((&row("MAX_WORKERS")["origin"], &row("MAX_WORKERS")["value"]), (&"environment".into(), &"3".into()));
    assert_eq!(row("CHAT_PASSAGES")["origin"], "default");
    assert_eq!(row("KNOWLEDGE_WORKER_DATA")["origin"], "command_line");
    assert_eq!(row("OPENAI_MODEL")["origin"], "unset");
    assert_eq!(
        (&row("OPENAI_API_KEY")["value"], &row("OPENAI_API_KEY")["origin"]),
        (&"***".into(), &"environment".into())
    );

    let table = place.run_with(&settings, &["settings"]).assert_status(0);
    for (name, origin) in
        [("MAX_WORKERS", "environment"), ("CHAT_PASSAGES", "default"), ("KNOWLEDGE_WORKER_DATA", "command line")]
    {
        let line = table.stdout.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{table:?}"));
        assert!(line.contains(origin), "{line}");
    }
    let all = format!("{shown}{table:?}");
    assert!(!all.contains("canary") && !all.contains("Y2FuYXJ5"), "{all}");
}

#[test]
fn bad_input_30_wrong_settings_are_all_named_and_nothing_starts() {
    let place = Place::new();
    let wrong = [
        ("MAX_WORKERS", "canary"),
        ("LOG_LEVEL", "canary"),
        ("CHUNK_TOKENS", "-1"),
        ("INDEX_LANGUAGE", "canary"),
        ("ENVIRONMENT", "production-canary"),
        ("OPENAI_BASE_URL", "canary"),
        ("EVIDENCE_THRESHOLD", "7"),
        ("DOCUMENTS_CONTAINER", "CANARY!"),
        ("AZURE_COSMOS_ENDPOINT", "http://canary.example/"),
        ("AZURE_COSMOS_CONTAINER", "canary/one"),
    ];
    let expected = wrong.iter().map(|(name, _)| if *name == "OPENAI_BASE_URL" { "OPENAI_MODEL" } else { name });
    let expected: Vec<&str> = expected.collect();
    for arguments in [
        &["settings"][..],
        &["ask", "anything"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["ingest", "."],
        &["documents"],
    ] {
        let ran = place.run_with(&wrong, arguments).assert_status(78);
        for name in &expected {
            assert!(ran.stderr.lines().any(|line| line.starts_with(&format!("error: {name} "))), "{name} in {ran:?}");
        }
        assert!(!ran.stderr.to_lowercase().contains("canary"), "{}", ran.stderr);
    }
    let told = place.run_with(&wrong, &["settings", "--json"]).assert_status(78).json();
    assert!(told["problems"].as_array().unwrap().len() >= expected.len(), "{told}");
    assert!(!place.path("data").exists());
}
