//! Who finds what: every principal exactly what it may, whatever way a document got its readers, and whenever they change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use knowledge_worker::app::App;
use knowledge_worker::document::{DocumentId, Principal, Role};
use knowledge_worker::error::ErrorKind;
use knowledge_worker::index::Query;
use knowledge_worker::index::filter::Filter;
use knowledge_worker::ingest::intake::Submission;
use knowledge_worker::ingest::ledger::State;
use knowledge_worker::ingest::reconcile::Drift;
use knowledge_worker::stores::blobs::{Condition, PutOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, document_name, get, post_json};
use crate::support::azurite;

/// Documents with what storage says of them. All hold the same words, so that a search without rights finds them all.
const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[
    ("open.txt", &[]),
    ("hr/folder.txt", &[]),
    ("hr/open.txt", &[("allowed_groups", "everyone")]),
    ("secret/folder.txt", &[]),
    ("secret/ann.txt", &[("owner", "t1/ann")]),
    ("group.txt", &[("allowed_groups", "t1/crew, t1/board")]),
    ("user.txt", &[("allowed_users", "t1/ann")]),
    ("elsewhere.txt", &[("allowed_groups", "t2/crew"), ("allowed_users", "t2/ann")]),
    ("nobody.txt", &[("allowed_users", ""), ("category", "lost")]),
];

fn metadata(said: &[(&str, &str)]) -> BTreeMap<String, String> {
    said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn put(test: &TestApp, name: &str, content: &str, said: &[(&str, &str)]) {
    let options = PutOptions { condition: Condition::Always, metadata: metadata(said) };
    test.app.documents.put_with(name, content.as_bytes().to_vec().into(), options).await.unwrap();
    test.sync(name).await;
}

async fn with_documents() -> TestApp {
    let test = TestApp::with(&[("FOLDER_RIGHTS", "hr/=group:t1/crew;secret/=nobody"), ("INDEX_REFRESH_SECONDS", "0")]);
    for (name, said) in DOCUMENTS {
        put(&test, name, &format!("The lamp on the pier is green, says {name}."), said).await;
    }
    test
}

fn user(tenant: &str, subject: &str, groups: &[&str]) -> Principal {
    Principal::user(tenant, subject, groups.iter().copied()).unwrap()
}

/// The names a principal finds, by search and document after document; both have to agree, counts too.
async fn found(app: &Arc<App>, principal: &Principal) -> BTreeSet<String> {
    let query = Query::words("Which lamp is on the pier?", 50);
    let hits = app.index.search(principal, &query).await.unwrap().hits;
    let by_search: BTreeSet<String> = hits.iter().map(|hit| hit.passage.name.to_string()).collect();
    let mut by_document = BTreeSet::new();
    for row in app.ingest.ledger.all().await.unwrap() {
        let passages = app.index.passages(principal, &row.id).await.unwrap();
        assert_eq!(
            principal.may_read(&row.readers) && row.passages > 0,
            !passages.is_empty(),
            "{}: row and index agree",
            row.name
        );
        by_document.extend(passages.first().map(|passage| passage.name.to_string()));
    }
    assert_eq!(by_search, by_document);
    let stats = app.ingest.ledger.stats(|row| principal.may_read(&row.readers)).await.unwrap();
    assert_eq!(stats.passages, hits.len() as u64, "what may not be found is not counted either");
    by_search
}

#[tokio::test]
async fn a_principal_finds_exactly_what_it_may() {
    let test = with_documents().await;
    let open = ["hr/open.txt", "open.txt"];
    let cases: [(Principal, &[&str]); 8] = [
        (Principal::anonymous(), &[]),
        (user("t1", "bob", &[]), &[]),
        (user("t1", "bob", &["crew"]), &["group.txt", "hr/folder.txt"]),
        (user("t1", "bob", &["board", "other"]), &["group.txt"]),
        (user("t1", "ann", &[]), &["secret/ann.txt", "user.txt"]),
        (user("t1", "ann", &["crew"]), &["group.txt", "hr/folder.txt", "secret/ann.txt", "user.txt"]),
        (user("t2", "ann", &["crew"]), &["elsewhere.txt"]),
        // A subject that is called like a group, and the other way round.
        (user("t1", "crew", &["ann"]), &[]),
    ];
    for (principal, more) in cases {
        let expected: BTreeSet<String> = open.iter().chain(more).map(|name| (*name).to_owned()).collect();
        assert_eq!(found(&test.app, &principal).await, expected, "{principal:?}");
    }
}

#[tokio::test]
async fn an_identity_that_could_be_taken_for_another_is_none() {
    for (tenant, subject, groups) in
        [("", "ann", vec![]), ("t1/x", "ann", vec![]), ("t1", "", vec![]), ("t1", "ann", vec![""])]
    {
        assert!(Principal::user(tenant, subject, groups).is_err(), "{tenant} {subject}");
    }
}

#[tokio::test]
async fn over_http_what_may_not_be_read_is_as_absent_as_what_never_was() {
    let test = with_documents().await;
    let listed = test.send(get("/api/documents?limit=200")).await.json();
    let names: BTreeSet<&str> =
        listed["documents"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["hr/open.txt", "open.txt"]));
    let stats = test.send(get("/api/documents/stats")).await.json();
    assert_eq!((&stats["documents"], &stats["passages"], &stats["by_category"]), (&json!(2), &json!(2), &json!({})));
    put(&test, "secret/broken.pdf", "%PDF-1.7 and nothing else", &[]).await;
    let unknown = "00000000000000000000000000000000".to_owned();
    let without_id = |mut problem: Value| {
        problem["requestId"] = Value::Null;
        problem["instance"] = Value::Null;
        problem
    };
    for name in ["user.txt", "secret/broken.pdf", "nobody.txt"] {
        let id = DocumentId::of(&document_name(name)).to_string();
        for (method, end) in [
            ("GET", ""),
            ("GET", "/content"),
            ("GET", "/pages/1"),
            ("GET", "/passages/0"),
            ("DELETE", ""),
            ("POST", "/retry"),
        ] {
            let ask = |id: &str| {
                Request::builder().method(method).uri(format!("/api/documents/{id}{end}")).body(Body::empty()).unwrap()
            };
            let (hidden, absent) = (test.send(ask(&id)).await, test.send(ask(&unknown)).await);
            hidden.assert_problem("not-found");
            assert_eq!(without_id(hidden.json()), without_id(absent.json()), "{method} {name}");
        }
        assert!(test.app.documents.head(name).await.unwrap().is_some(), "it is still there");
    }
    let search = test.send(post_json("/api/search", r#"{"query":"lamp pier","top_results":50}"#)).await.json();
    assert_eq!(search["results"].as_array().unwrap().len(), 2, "{search}");
}

#[tokio::test]
async fn readers_that_change_in_storage_change_in_the_index() {
    let test = with_documents().await;
    let (words, ann) = ("The lamp on the pier is green, says user.txt.", user("t1", "ann", &[]));
    let sees = async |principal: &Principal| found(&test.app, principal).await.contains("user.txt");
    assert!(sees(&ann).await && !sees(&Principal::anonymous()).await);
    // The same content, for others: with the event, and with the timer alone.
    put(&test, "user.txt", words, &[("allowed_users", "t1/bob"), ("category", "lamps")]).await;
    assert!(!sees(&ann).await && sees(&user("t1", "bob", &[])).await);
    assert_eq!(test.row("user.txt").await.unwrap().category.as_deref(), Some("lamps"));
    let options = PutOptions { condition: Condition::Always, metadata: metadata(&[("allowed_users", "t1/ann")]) };
    test.app.documents.put_with("user.txt", words.as_bytes().into(), options).await.unwrap();
    let report = maintain(&test.app).await;
    assert_eq!(report.get(&Drift::Changed), Some(&1), "{report:?}");
    assert!(sees(&ann).await && !sees(&user("t1", "bob", &[])).await);
    assert!(maintain(&test.app).await.is_empty(), "a second run finds nothing to do");
    // Only what it is sorted under, which searches are narrowed by.
    put(&test, "user.txt", words, &[("allowed_users", "t1/ann"), ("category", "piers")]).await;
    assert_eq!(test.row("user.txt").await.unwrap().category.as_deref(), Some("piers"));
    for (category, count) in [("piers", 1), ("lamps", 0)] {
        let filter = Filter { category: Some(category.to_owned()), ..Filter::default() };
        let query = Query { filter, ..Query::words("lamp", 50) };
        assert_eq!(test.app.index.search(&ann, &query).await.unwrap().hits.len(), count, "{category}");
    }
    put(&test, "user.txt", words, &[]).await;
    assert!(sees(&Principal::anonymous()).await);
}

#[tokio::test]
async fn readers_in_the_tags_of_a_blob_count_where_its_metadata_says_nothing() {
    let unique = Uuid::new_v4().simple().to_string();
    let (documents, connection) = (format!("documents-{unique}"), azurite::connection_string());
    let test = TestApp::with(&[
        ("AZURE_STORAGE_CONNECTION_STRING", &connection),
        ("DOCUMENTS_CONTAINER", &documents),
        ("INDEX_CONTAINER", &format!("index-{unique}")),
        ("DOCUMENT_TAGS", "on"),
        ("INDEX_REFRESH_SECONDS", "0"),
    ]);
    let (ann, bob, crew) = (user("t1", "ann", &[]), user("t1", "bob", &[]), user("t1", "cid", &["crew"]));
    let sees = async |principal: &Principal| found(&test.app, principal).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    for (name, said) in [("tagged.txt", &[][..]), ("both.txt", &[("allowed_users", "t1/ann")][..])] {
        let (options, content) = (
            PutOptions { condition: Condition::Always, metadata: metadata(said) },
            format!("The lamp on the pier is green, says {name}."),
        );
        test.app.documents.put_with(name, content.into(), options).await.unwrap();
        azurite::tag(&documents, name, &[("allowed_groups", "t1/crew t1/board"), ("category", "lamps")]).await;
        test.sync(name).await;
    }
    assert_eq!(sees(&crew).await, names(&["tagged.txt"]));
    assert_eq!((sees(&ann).await, sees(&Principal::anonymous()).await), (names(&["both.txt"]), names(&[])));
    assert_eq!(test.row("tagged.txt").await.unwrap().category.as_deref(), Some("lamps"));
    assert!(maintain(&test.app).await.is_empty(), "nothing has changed");
    // Other tags leave the ETag as it is: no event tells of them, and the timer sees them.
    azurite::tag(&documents, "tagged.txt", &[("allowed_users", "t1/bob"), ("owner", "t1/ann")]).await;
    let original = test.row("tagged.txt").await.unwrap();
    let refused = test.app.ingest.original(&original, &crew).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "the document itself is not given out any more, at once");
    assert_eq!(maintain(&test.app).await, BTreeMap::from([(Drift::Outdated, 1)]));
    assert_eq!((sees(&crew).await, sees(&bob).await), (names(&[]), names(&["tagged.txt"])));
    assert_eq!(test.row("tagged.txt").await.unwrap().owner.as_deref(), Some("t1/ann"));
    assert!(maintain(&test.app).await.is_empty(), "a second run finds nothing to do");
    // A new version from its owner has the readers of the old one.
    let submission = Submission {
        name: document_name("tagged.txt"),
        bytes: "The lamp on the pier is red now, says tagged.txt.".into(),
        by: ann.clone(),
        category: None,
    };
    test.app.ingest.accept(submission).await.unwrap();
    test.sync("tagged.txt").await;
    assert_eq!(sees(&bob).await, names(&["tagged.txt"]));
    assert_eq!((sees(&ann).await, sees(&crew).await), (names(&["both.txt", "tagged.txt"]), names(&[])));
}

#[tokio::test]
async fn readers_that_change_in_the_settings_change_with_the_timer() {
    let test = with_documents().await;
    let strict = test.again(&[
        ("DEFAULT_READERS", "nobody"),
        ("FOLDER_RIGHTS", "hr/=group:t1/board"),
        ("INDEX_REFRESH_SECONDS", "0"),
    ]);
    let report = maintain(&strict).await;
    // open.txt, hr/folder.txt; the two in secret/ had no readers and have none, but for the owner of one.
    assert_eq!(report, BTreeMap::from([(Drift::Outdated, 2)]));
    assert_eq!(found(&strict, &Principal::anonymous()).await, BTreeSet::from(["hr/open.txt".to_owned()]));
    assert!(found(&strict, &user("t1", "bob", &["board"])).await.contains("hr/folder.txt"));
    assert!(!found(&strict, &user("t1", "bob", &["crew"])).await.contains("hr/folder.txt"));
    assert!(maintain(&strict).await.is_empty());
}

#[tokio::test]
async fn a_lost_ledger_does_not_bring_old_readers_back() {
    let test = with_documents().await;
    for row in test.app.ingest.ledger.all().await.unwrap() {
        test.app.records.delete("documents", row.id.as_str()).await.unwrap();
    }
    let strict = test.again(&[
        ("DEFAULT_READERS", "nobody"),
        ("FOLDER_RIGHTS", "secret/=nobody"),
        ("INDEX_REFRESH_SECONDS", "0"),
    ]);
    maintain(&strict).await;
    assert_eq!(found(&strict, &Principal::anonymous()).await, BTreeSet::from(["hr/open.txt".to_owned()]));
    assert!(found(&strict, &user("t1", "ann", &[])).await.contains("user.txt"));
    assert_eq!(strict.ingest.ledger.all().await.unwrap().len(), DOCUMENTS.len());
}

#[tokio::test]
async fn a_new_version_is_for_the_readers_of_the_old_one() {
    let test = with_documents().await;
    let submit = |by: Principal, name: &str| {
        let bytes = "The lamp on the pier is red.".into();
        test.app.ingest.accept(Submission { name: document_name(name), bytes, by, category: None })
    };
    for (by, name) in [
        (Principal::anonymous(), "user.txt"),
        (user("t1", "bob", &[]), "group.txt"),
        (user("t2", "ann", &[]), "user.txt"),
    ] {
        assert_eq!(submit(by, name).await.unwrap_err().kind(), ErrorKind::InvalidName, "{name}");
    }
    // Nobody brought it, or somebody else did: who may read it may not replace it all the same.
    for (by, name) in [(user("t1", "bob", &["crew"]), "group.txt"), (user("t1", "eve", &[]), "open.txt")] {
        for role in [Role::Reader, Role::Contributor] {
            let refused = submit(by.clone().with_role(role), name).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InsufficientScope, "{name} {role:?}");
        }
    }
    submit(user("t1", "bob", &["crew"]).with_role(Role::Operator), "group.txt").await.unwrap();
    test.sync("group.txt").await;
    let row = test.row("group.txt").await.unwrap();
    assert_eq!((row.state, row.owner.as_deref()), (State::Indexed, Some("t1/bob")));
    assert_eq!(row.readers, ["group:t1/board", "group:t1/crew", "user:t1/bob"]);
    // Now it is Bob's, who replaces it himself; an operator does, too, and it stays his.
    submit(user("t1", "bob", &[]), "group.txt").await.unwrap();
    submit(user("t1", "kim", &["crew"]).with_role(Role::Operator), "group.txt").await.unwrap();
    test.sync("group.txt").await;
    let row = test.row("group.txt").await.unwrap();
    assert_eq!((row.owner.as_deref(), &row.readers[2..]), (Some("t1/bob"), &["user:t1/bob".to_owned()][..]));
    assert!(!found(&test.app, &Principal::anonymous()).await.contains("group.txt"));
}

#[tokio::test]
async fn what_an_anonymous_caller_brings_is_for_those_the_settings_name() {
    let test = TestApp::with(&[("DEFAULT_READERS", "nobody")]);
    let by = Principal::anonymous();
    let submission =
        Submission { name: document_name("a.txt"), bytes: "The lamp is green.".into(), by, category: None };
    let row = test.app.ingest.accept(submission).await.unwrap();
    assert_eq!((row.owner.as_deref(), row.readers), (Some("anonymous"), vec![]));
    test.sync("a.txt").await;
    assert!(found(&test.app, &Principal::anonymous()).await.is_empty());
    assert_eq!(test.send(get("/api/documents")).await.status, StatusCode::OK);
}

async fn maintain(app: &Arc<App>) -> BTreeMap<Drift, usize> {
    app.ingest.reconcile(Instant::now() + Duration::from_secs(60), &app.records).await.unwrap().drift
}
