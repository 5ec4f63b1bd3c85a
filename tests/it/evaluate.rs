//! `handler evaluate` from outside: the figures of a small set are exactly those worked out apart from the product, and a
//! figure that is worse than allowed ends the command with 1.

use std::path::Path;

use serde_json::Value;

use crate::support::process::{Place, sample};

/// A set in the layout of BEIR, made for this test.
fn set() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/beir");
    path.to_str().expect("the path is text").to_owned()
}

fn check_figure(report: &Value, name: &str, expected: f64) {
    let found = report["figures"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"));
    assert!((found - expected).abs() < 1e-6, "{name} is {found}, not {expected}");
}

#[test]
fn the_figures_of_a_beir_set_are_those_of_trec_eval() {
    let place = Place::new();
    let report = place.run(&["evaluate", &set(), "--json"]).assert_status(0).json();
    // From tests/fixtures/beir/figures.py, which has a BM25 of its own and asks pytrec_eval 0.5.11 as well.
    for (name, expected) in [
        ("ndcg@10", 0.743303),
        ("recall@5", 0.777778),
        ("recall@20", 0.833333),
        ("recall@100", 0.833333),
        ("mrr", 0.75),
    ] {
        check_figure(&report, name, expected);
    }
    assert_eq!((&report["documents"], report["queries"].as_array().unwrap().len()), (&12.into(), 6));
    assert!(!place.path("data").exists(), "the set has an index of its own");
    let shallow = place.run(&["evaluate", &set(), "--top", "10", "--json"]).assert_status(0).json();
    assert!(shallow["figures"].get("recall@20").is_none(), "twenty cannot be seen in ten: {shallow}");
}

#[test]
fn a_figure_worse_than_allowed_ends_with_one() {
    let place = Place::new();
    let evaluate = |least: &[&str]| {
        let set = set();
        let mut arguments = vec!["evaluate", &set];
        arguments.extend(least.iter().flat_map(|least| ["--least", least]));
        place.run(&arguments)
    };
    let passed = evaluate(&["ndcg@10=0.74", "mrr=0.75"]).assert_status(0);
    assert!(passed.stdout.contains("0.7433") && passed.stdout.contains("at least 0.74"), "{passed:?}");
    let failed = evaluate(&["ndcg@10=0.75", "mrr=0.75"]).assert_status(1);
    assert!(failed.stdout.contains("ndcg@10 must be at least 0.75"), "{failed:?}");
    place.write("floors", "# as of May\nndcg@10 = 0.7\nrecall@5 = 0.9\n");
    let failed = evaluate(&["floors"]).assert_status(1);
    assert!(failed.stdout.contains("recall@5 must be at least 0.9"), "{failed:?}");
    let unmeasured = evaluate(&["citation=0.5"]).assert_status(1);
    assert!(unmeasured.stdout.contains("citation must be"), "what was not measured has not been met: {unmeasured:?}");
    assert!(evaluate(&["ndcg@3=0.5"]).assert_status(2).stderr.contains("recall@20"));
    assert!(evaluate(&["mrr=2"]).assert_status(2).stderr.contains("from 0 to 1"));
    assert!(evaluate(&["nowhere"]).assert_status(1).stderr.contains("nowhere"));
}

#[test]
fn questions_are_asked_of_a_folder_or_of_the_index_at_hand() {
    let place = Place::new();
    place.write("papers/data-retention.md", sample("data-retention.md"));
    let questions = [
        r#"{"question": "After how many days are the camera pictures of the quay overwritten?", "document": "data-retention.md", "page": null, "answer_contains": "after 14 days"}"#,
        r#"{"question": "What do kangaroos eat?", "document": null, "page": null, "answer_contains": null}"#,
        r#"{"question": "Who won the chess olympiad in Batumi?", "document": "chess.md", "answer_contains": "Ju"}"#,
    ];
    place.write("questions.jsonl", questions.join("\n"));
    let empty = place.run(&["evaluate", "questions.jsonl"]).assert_status(1);
    assert!(empty.stderr.contains("--documents"), "{empty:?}");
    let folder = place.run(&["evaluate", "questions.jsonl", "--documents", "papers", "--json"]).assert_status(0).json();
    place.run(&["ingest", "papers"]).assert_status(0);
    let index = place.run(&["evaluate", "questions.jsonl", "--json"]).assert_status(0).json();
    for report in [&folder, &index] {
        for (name, expected) in
            [("citation", 0.5), ("answer", 0.5), ("abstention", 1.0), ("false-abstention", 0.5), ("mrr", 0.5)]
        {
            check_figure(report, name, expected);
        }
    }
    assert_eq!(folder["queries"], index["queries"]);
    assert_eq!(folder["queries"][0]["rank"], 1);
    let shown = place.run(&["evaluate", "questions.jsonl", "--least", "false-abstention=0.4"]).assert_status(1);
    assert!(shown.stdout.contains("abstained: Who won"), "{shown:?}");
    assert!(shown.stdout.contains("false-abstention must be at most 0.4"), "{shown:?}");
}

#[test]
fn what_is_no_set_is_named_with_its_line() {
    let place = Place::new();
    place.write("questions.jsonl", "{\"question\": \"Why?\", \"document\": null}\n{\"ask\": 1}\n");
    let ran = place.run(&["evaluate", "questions.jsonl"]).assert_status(1);
    assert!(ran.stderr.contains("questions.jsonl") && ran.stderr.contains("line 2"), "{ran:?}");
    assert!(place.run(&["evaluate", "nowhere"]).assert_status(1).stderr.contains("nowhere"));
    place.write("set/corpus.jsonl", "{\"_id\": \"a\", \"text\": \"ropes\"}\n{\"text\": \"chains\"}\n");
    place.write("set/queries.jsonl", "{\"_id\": \"q\", \"text\": \"ropes\"}\n");
    assert!(place.run(&["evaluate", "set"]).assert_status(1).stderr.contains("test.tsv"));
    place.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n");
    let ran = place.run(&["evaluate", "set"]).assert_status(1);
    assert!(ran.stderr.contains("corpus.jsonl") && ran.stderr.contains("line 2"), "{ran:?}");
    place.write("set/corpus.jsonl", "{\"_id\": \"a\", \"text\": \"ropes\"}\n{\"_id\": \"b\", \"text\": \"\"}\n");
    let report = place.run(&["evaluate", "set", "--json"]).assert_status(0).json();
    check_figure(&report, "ndcg@10", 1.0);
    place.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nother\ta\t1\n");
    assert!(place.run(&["evaluate", "set"]).assert_status(1).stderr.contains("other"));
}
