//! The index at a search service: what the service's ways must not change about what people see. It stores before it
//! shows, it does parts of a batch, it is busy, and it cannot change a definition in place.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use knowledge_worker::clock::Clock;
use knowledge_worker::config::Config;
use knowledge_worker::config::source::Source;
use knowledge_worker::document::{DocumentId, Embedding, EmbeddingSpace, Principal};
use knowledge_worker::error::{Error, ErrorKind};
use knowledge_worker::index::azure_search::AzureSearchIndex;
use knowledge_worker::index::filter::Filter;
use knowledge_worker::index::segments::manifest::Outcome;
use knowledge_worker::index::{Index, Query};
use serde_json::{Value, json};

use super::index::{find, later, open_search, start, upsert, version};
use crate::fake_search::{self, FakeSearch, Trouble};
use crate::support::app::{document_name, program};
use crate::support::process::{Place, Server, eventually};

/// What maintenance leaves alone.
const GRACE: Duration = Duration::from_secs(900);
/// The first index behind the alias.
const FIRST: &str = "knowledge-worker-v1";

/// A service, its clock, and an index there.
async fn place() -> (FakeSearch, Clock, Index) {
    let (service, clock) = (FakeSearch::start().await, Clock::manual(start()));
    let index = open_search(&service, clock.clone(), |_| {});
    (service, clock, index)
}

fn id(name: &str) -> DocumentId {
    DocumentId::of(&document_name(name))
}

fn embedding(model: &str, values: &[f32]) -> Embedding {
    let dimensions = u32::try_from(values.len()).unwrap();
    Embedding { space: Arc::new(EmbeddingSpace { model: model.to_owned(), dimensions }), values: values.to_vec() }
}

fn kinds(service: &FakeSearch, index: &str) -> (usize, usize) {
    let rows = service.rows(index);
    let count = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
    (count("passage"), count("claim"))
}

/// The questions that were asked for passages.
fn questions(service: &FakeSearch) -> Vec<Value> {
    let asked = service.requests("search.post.search").into_iter().map(|request| request.body);
    asked.filter(|body| body["select"].as_str().is_some_and(|select| select.contains("text"))).collect()
}

#[tokio::test]
async fn a_change_that_is_shown_late_never_shows_two_versions_or_one_that_is_gone() {
    let (service, clock, here) = place().await;
    let elsewhere = open_search(&service, clock, |_| {});
    here.upsert(upsert("a.txt", version(1, "1"), &["old harbour"])).await.unwrap();
    service.be_late(true);
    here.upsert(upsert("a.txt", version(2, "2"), &["new harbour"])).await.unwrap();
    assert!(find(&here, "harbour").await.is_empty(), "who made the change does not see the old version again");
    assert_eq!(find(&elsewhere, "harbour").await, ["old harbour"], "and another process not yet the new one");
    service.be_late(false);
    for index in [&here, &elsewhere] {
        assert_eq!(find(index, "harbour").await, ["new harbour"]);
    }
    service.be_late(true);
    assert_eq!(here.remove(&id("a.txt"), None).await.unwrap(), Outcome::Applied);
    assert!(find(&here, "harbour").await.is_empty());
    assert!(here.passages(&Principal::anonymous(), &id("a.txt")).await.unwrap().is_empty());
    assert_eq!(here.entry(&id("a.txt")).await.unwrap(), None);
    service.be_late(false);
    assert!(find(&elsewhere, "harbour").await.is_empty());
}

#[tokio::test]
async fn a_writer_who_saw_nothing_of_a_later_version_cannot_bring_an_older_one() {
    let (service, clock, first) = place().await;
    let second = open_search(&service, clock.clone(), |_| {});
    first.upsert(upsert("a.txt", version(1, "1"), &["harbour one"])).await.unwrap();
    assert_eq!(find(&second, "harbour").await, ["harbour one"]);
    service.be_late(true);
    first.upsert(upsert("a.txt", version(3, "3"), &["harbour three"])).await.unwrap();
    second.upsert(upsert("a.txt", version(2, "2"), &["harbour two"])).await.unwrap();
    service.be_late(false);
    for index in [&first, &second, &open_search(&service, clock.clone(), |_| {})] {
        assert_eq!(find(index, "harbour").await, ["harbour three"]);
        assert_eq!(index.entry(&id("a.txt")).await.unwrap().unwrap().version, version(3, "3"));
    }
    clock.advance(2 * GRACE);
    assert_eq!(open_search(&service, clock.clone(), |_| {}).tidy(GRACE, later()).await.unwrap().collected_files, 2);
    assert_eq!(kinds(&service, FIRST), (1, 1));
}

#[tokio::test]
async fn a_removal_is_not_undone_by_a_writer_who_saw_nothing_of_it() {
    let (service, clock, first) = place().await;
    let second = open_search(&service, clock.clone(), |_| {});
    first.upsert(upsert("a.txt", version(2, "2"), &["harbour"])).await.unwrap();
    service.be_late(true);
    first.remove(&id("a.txt"), None).await.unwrap();
    let mut again = upsert("a.txt", version(2, "2"), &["harbour"]);
    again.recipe = "2".to_owned();
    assert_eq!(second.upsert(again).await.unwrap(), Outcome::Applied, "it cannot know");
    second.upsert(upsert("a.txt", version(1, "1"), &["older harbour"])).await.unwrap();
    service.be_late(false);
    assert!(find(&first, "harbour").await.is_empty());
    let third = open_search(&service, clock.clone(), |_| {});
    assert!(find(&third, "harbour").await.is_empty());
    clock.advance(2 * GRACE);
    third.tidy(GRACE, later()).await.unwrap();
    assert!(find(&third, "harbour").await.is_empty(), "the removal outlives what it hides");
    third.tidy(GRACE, later()).await.unwrap();
    assert_eq!(kinds(&service, FIRST), (0, 0), "and then nobody has to remember it");
}

#[tokio::test]
async fn storage_that_went_back_goes_before_the_order_of_versions() {
    let (_service, _clock, index) = place().await;
    index.upsert(upsert("a.txt", version(5, "5"), &["harbour five"])).await.unwrap();
    let mut back = upsert("a.txt", version(2, "2"), &["harbour two"]);
    back.forced = true;
    assert_eq!(index.upsert(back).await.unwrap(), Outcome::Applied);
    assert_eq!(find(&index, "harbour").await, ["harbour two"]);
    assert_eq!(index.upsert(upsert("a.txt", version(3, "3"), &["harbour three"])).await.unwrap(), Outcome::Applied);
    assert_eq!(find(&index, "harbour").await, ["harbour three"]);
    let stale = index.remove(&id("a.txt"), Some(version(2, "2"))).await.unwrap();
    assert_eq!(stale, Outcome::Superseded);
}

#[tokio::test]
async fn rows_that_the_service_has_no_time_for_are_sent_again_and_no_others() {
    let (service, _clock, index) = place().await;
    index.upsert(upsert("first.txt", version(1, "1"), &["buoy"])).await.unwrap();
    let before = service.requests("search.index").len();
    // The claim is the first row, then come three passages.
    service.busy_for_rows(&[503, 429, 409, 422]);
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour one", "harbour two", "harbour three"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await.len(), 3);
    let batches = service.requests("search.index").split_off(before);
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.body["value"].as_array().unwrap().len()).collect();
    assert_eq!(sizes[..5], [1, 1, 1, 1, 1], "the claim is refused four times");
    service.busy_for_rows(&[503]);
    index.upsert(upsert("a.txt", version(2, "2"), &["harbour four"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await, ["harbour four"]);
}

#[tokio::test]
async fn a_row_that_is_refused_for_good_fails_the_document_and_leaves_the_version_before() {
    let (service, clock, index) = place().await;
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour one"])).await.unwrap();
    service.refuse_text(Some("poison"));
    let error = index.upsert(upsert("a.txt", version(2, "2"), &["harbour two", "poison"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(find(&index, "harbour").await, ["harbour one"]);
    assert_eq!(index.status().await.unwrap().documents, 1);
    assert_eq!(index.tidy(GRACE, later()).await.unwrap().collected_files, 0, "it may still be under way");
    clock.advance(2 * GRACE);
    index.tidy(GRACE, later()).await.unwrap();
    assert_eq!(kinds(&service, FIRST), (1, 1), "what was left of the attempt is collected");
    assert_eq!(index.tidy(GRACE, later()).await.unwrap().collected_files, 0);
    assert_eq!(find(&index, "harbour").await, ["harbour one"]);
}

#[tokio::test]
async fn a_busy_service_is_asked_again_when_it_says() {
    let (service, _clock, index) = place().await;
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
    service.trouble(Trouble { retry_after: Some("1"), ..Trouble::of("search.post.search", 503) });
    let began = Instant::now();
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    assert!(began.elapsed() >= Duration::from_secs(1), "it came back after {:?}", began.elapsed());
    for status in [429, 504] {
        service.trouble(Trouble { retry_after: Some("0"), ..Trouble::of("search.post.search", status) });
    }
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    for _ in 0..20 {
        service.trouble(Trouble { retry_after: Some("0"), ..Trouble::of("search.post.search", 503) });
    }
    let before = service.requests("search.post.search").len();
    let error = index.passages(&Principal::anonymous(), &id("a.txt")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(service.requests("search.post.search").len() - before, 3, "and not for ever");
}

#[tokio::test]
async fn a_process_that_dies_between_any_two_requests_leaves_one_version_and_nothing_for_ever() {
    for requests in 0..6 {
        let (service, clock, dying) = place().await;
        dying.upsert(upsert("a.txt", version(1, "1"), &["harbour one", "harbour wall"])).await.unwrap();
        // The request is done, and nobody is there any more to hear of it.
        let death = Trouble { skip: requests, after_the_fact: true, ..Trouble::of("search.index", 403) };
        service.trouble(death);
        let second = || upsert("a.txt", version(2, "2"), &["harbour two"]);
        let finished = dying.upsert(second()).await.is_ok();
        assert_eq!(finished, requests > 4, "there are five requests: claim, passages, claim, and two to delete");
        let next = open_search(&service, clock.clone(), |_| {});
        let found = find(&next, "harbour").await;
        let expected: &[&str] = if requests < 2 { &["harbour one", "harbour wall"] } else { &["harbour two"] };
        assert_eq!(found, expected, "after {requests} requests and one");
        let outcome = next.upsert(second()).await.unwrap();
        assert_eq!(outcome, if requests < 2 { Outcome::Applied } else { Outcome::Unchanged });
        clock.advance(2 * GRACE);
        next.tidy(GRACE, later()).await.unwrap();
        assert_eq!(find(&next, "harbour").await, ["harbour two"]);
        assert_eq!(kinds(&service, FIRST), (1, 1), "after {requests} requests and one");
    }
}

#[tokio::test]
async fn a_lost_answer_does_no_harm() {
    let (service, clock, index) = place().await;
    let lost = |path| Trouble { retry_after: Some("0"), after_the_fact: true, ..Trouble::of(path, 503) };
    for path in ["indexes('knowledge-worker-v1')", "aliases(", "search.index", "search.index"] {
        service.trouble(lost(path));
    }
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    for _ in 0..2 {
        service.trouble(lost("search.index"));
    }
    index.remove(&id("a.txt"), None).await.unwrap();
    assert!(find(&open_search(&service, clock, |_| {}), "harbour").await.is_empty());
}

#[tokio::test]
async fn a_wrong_key_is_told_as_a_matter_of_settings() {
    let (service, clock, _) = place().await;
    let index = open_search(&service, clock, |settings| {
        settings.authorization =
            knowledge_worker::index::azure_search::authorization::Authorization::ApiKey("no".into());
    });
    let error = index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(!error.chain().contains("harbour"), "{}", error.chain());
    assert!(!format!("{index:?}").contains("ApiKey(\""));
}

#[tokio::test]
async fn every_question_for_passages_carries_the_marks_of_who_asks() {
    let (service, _clock, index) = place().await;
    let names = ["user:home/o'Hara|x", "user:home/everyone", "group:home/a b,c"];
    for (number, reader) in names.iter().enumerate() {
        let mut hidden = upsert(&format!("{number}.txt"), version(1, "1"), &[&format!("harbour {number}")]);
        hidden.rows.iter_mut().for_each(|row| row.readers = vec![(*reader).to_owned()]);
        index.upsert(hidden).await.unwrap();
    }
    let search = async |principal: &Principal| {
        let found = index.search(principal, &Query::words("harbour", 10)).await.unwrap();
        found.hits.into_iter().map(|hit| hit.passage.text.clone()).collect::<Vec<_>>()
    };
    assert!(search(&Principal::anonymous()).await.is_empty());
    assert_eq!(search(&Principal::user("home", "o'Hara|x", []).unwrap()).await, ["harbour 0"]);
    assert_eq!(search(&Principal::user("home", "everyone", []).unwrap()).await, ["harbour 1"]);
    assert_eq!(search(&Principal::user("home", "z", ["a b,c"]).unwrap()).await, ["harbour 2"]);
    assert!(
        search(&Principal::user("home", "x') or true or search.in(r, '", ["a|everyone"]).unwrap()).await.is_empty()
    );
    let asked = questions(&service);
    assert!(asked.len() >= 5);
    for question in asked {
        let filter = question["filter"].as_str().unwrap();
        assert!(filter.contains("readers/any(r: search.in(r, 'everyone|") || filter.contains("'everyone'"), "{filter}");
    }
}

#[tokio::test]
async fn a_question_is_data_and_never_a_command_to_the_service() {
    let (_service, _clock, index) = place().await;
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour wall", "buoy"])).await.unwrap();
    for question in ["harbour -wall", "\"harbour", "harbour* (wall", "har\\bour + harbour | '", "search=* harbour"] {
        assert_eq!(find(&index, question).await.first().map(String::as_str), Some("harbour wall"), "{question}");
    }
    for question in ["", "*", "-", "'\"", "?!", "***"] {
        assert!(find(&index, question).await.is_empty(), "{question:?} finds everything");
    }
    assert_eq!(find(&index, &"harbour ".repeat(20_000)).await, ["harbour wall"]);
}

#[tokio::test]
async fn meaning_finds_what_words_do_not_and_models_never_meet() {
    let (service, _clock, index) = place().await;
    let with = |name: &str, text: &str, embedding: Embedding| {
        let mut upsert = upsert(name, version(1, "1"), &[text]);
        upsert.rows[0].embedding = Some(embedding);
        upsert
    };
    index.upsert(with("a.txt", "annual leave", embedding("small", &[1.0, 0.1, 0.0]))).await.unwrap();
    index.upsert(with("b.txt", "diesel engine", embedding("small", &[0.0, 0.1, 1.0]))).await.unwrap();
    let ask = async |text: &str, embedding: Embedding| {
        let query = Query { embedding: Some(embedding), ..Query::words(text, 1) };
        let found = index.search(&Principal::anonymous(), &query).await?;
        Ok::<_, Error>(found.hits.into_iter().map(|hit| hit.passage.text.clone()).collect::<Vec<_>>())
    };
    assert_eq!(ask("holidays", embedding("small", &[0.9, 0.0, 0.1])).await.unwrap(), ["annual leave"]);
    assert_eq!(ask("", embedding("small", &[0.0, 0.0, 1.0])).await.unwrap(), ["diesel engine"]);
    let foreign = ask("holidays", embedding("large", &[0.9, 0.0, 0.1])).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::EmbeddingMismatch);
    index.upsert(with("c.txt", "motor oil", embedding("large", &[0.9, 0.0]))).await.unwrap();
    assert_eq!(service.indexes(), [FIRST], "a new model is a new field");
    assert_eq!(ask("holidays", embedding("large", &[0.9, 0.1])).await.unwrap(), ["motor oil"]);
    assert_eq!(ask("holidays", embedding("small", &[0.9, 0.0, 0.1])).await.unwrap(), ["annual leave"]);
}

#[tokio::test]
async fn a_filter_is_judged_by_the_service_as_far_as_it_can_and_by_the_claims_for_the_rest() {
    let (service, _clock, index) = place().await;
    for (name, second, category) in
        [("hr/it's/leave.txt", 1, Some("policy")), ("hr/leave.txt", 2, Some("it's")), ("sales/leave.txt", 3, None)]
    {
        let mut document = upsert(name, version(second, name), &[&format!("harbour {name}")]);
        document.category = category.map(str::to_owned);
        index.upsert(document).await.unwrap();
    }
    let search = async |filter: Filter| {
        let query = Query { filter, ..Query::words("harbour", 9) };
        let hits = index.search(&Principal::anonymous(), &query).await.unwrap().hits;
        let mut names: Vec<String> = hits.into_iter().map(|hit| hit.passage.name.to_string()).collect();
        names.sort_unstable();
        names
    };
    let prefix = |prefix: &str| Filter { path_prefix: Some(prefix.to_owned()), ..Filter::default() };
    assert_eq!(search(prefix("hr/")).await, ["hr/it's/leave.txt", "hr/leave.txt"]);
    assert_eq!(search(prefix("hr/it's/")).await, ["hr/it's/leave.txt"]);
    assert_eq!(search(prefix("hr/le")).await, ["hr/leave.txt"]);
    assert_eq!(search(prefix("s")).await, ["sales/leave.txt"]);
    let category = Filter { category: Some("it's".to_owned()), ..Filter::default() };
    assert_eq!(search(category).await, ["hr/leave.txt"]);
    let others = search(Filter { exclude_category: Some("it's".to_owned()), ..Filter::default() }).await;
    assert!(!others.is_empty() && !others.contains(&"hr/leave.txt".to_owned()), "{others:?}");
    let documents = vec![id("sales/leave.txt"), id("nobody.txt")];
    assert_eq!(search(Filter { documents, ..Filter::default() }).await, ["sales/leave.txt"]);
    let (from, before) = (version(2, "").modified, version(3, "").modified);
    let times = Filter { modified_from: Some(from), modified_before: Some(before), ..Filter::default() };
    assert_eq!(search(times).await, ["hr/leave.txt"]);
    let asked = questions(&service);
    let sent = |part: &str| asked.iter().any(|question| question["filter"].as_str().unwrap().contains(part));
    assert!(sent("folders/any(f: f eq 'hr/it''s/')") && sent("category eq 'it''s'") && sent("modified ge 2026-"));
}

#[tokio::test]
async fn reranking_by_meaning_is_asked_for_when_it_is_set_and_may_be_left_out_by_the_service() {
    let (service, clock, _) = place().await;
    let index = open_search(&service, clock, |settings| settings.semantic = true);
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour"])).await.unwrap();
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    service.slow_reranker();
    assert_eq!(find(&index, "harbour").await, ["harbour"]);
    assert!(questions(&service).iter().all(|question| question["semanticErrorHandling"] == "partial"));
}

#[tokio::test]
async fn another_language_is_built_beside_the_index_and_swapped_in_when_nothing_is_missing() {
    let (service, clock, english) = place().await;
    for name in ["a.txt", "b.txt"] {
        english.upsert(upsert(name, version(1, "1"), &[&format!("harbour {name}")])).await.unwrap();
    }
    let german = open_search(&service, clock.clone(), |settings| settings.language = "german".parse().unwrap());
    german.upsert(upsert("a.txt", version(1, "1"), &["harbour a.txt"])).await.unwrap();
    assert_eq!(service.indexes(), [FIRST, "knowledge-worker-v2"]);
    assert_eq!(service.alias("knowledge-worker").as_deref(), Some(FIRST));
    assert_eq!(find(&german, "harbour").await.len(), 2, "the index that was there answers");
    let entries = german.entries().await.unwrap();
    let outdated = entries.iter().filter(|(_, entry)| entry.recipe != "1").map(|(_, entry)| entry.name.as_str());
    assert_eq!(outdated.collect::<Vec<_>>(), ["b.txt"], "the timer learns what is left to do");
    german.tidy(GRACE, later()).await.unwrap();
    assert_eq!(service.alias("knowledge-worker").as_deref(), Some(FIRST), "one document is still missing");
    german.upsert(upsert("c.txt", version(1, "1"), &["new harbour"])).await.unwrap();
    assert_eq!(find(&english, "harbour").await.len(), 3, "what comes meanwhile is found at once");
    german.remove(&id("c.txt"), None).await.unwrap();
    german.upsert(upsert("b.txt", version(1, "1"), &["harbour b.txt"])).await.unwrap();
    german.tidy(GRACE, later()).await.unwrap();
    assert_eq!(service.alias("knowledge-worker").as_deref(), Some("knowledge-worker-v2"));
    assert_eq!(find(&german, "harbour").await.len(), 2);
    assert_eq!(find(&english, "harbour").await.len(), 2, "who has not noticed yet finds the old index");
    german.tidy(GRACE, later()).await.unwrap();
    assert_eq!(service.indexes(), ["knowledge-worker-v2"]);
    assert_eq!(german.entries().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_document_of_more_passages_than_one_page_comes_whole_and_in_order() {
    let (service, _clock, index) = place().await;
    let texts: Vec<String> = (0..2_203).map(|number| format!("harbour {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    index.upsert(upsert("a.txt", version(1, "1"), &texts)).await.unwrap();
    let passages = index.passages(&Principal::anonymous(), &id("a.txt")).await.unwrap();
    assert_eq!(passages.iter().map(|passage| passage.text.as_str()).collect::<Vec<_>>(), texts);
    assert_eq!(passages[7], upsert("a.txt", version(1, "1"), &texts).rows[7].passage, "all that was known came back");
    let batches = service.requests("search.index");
    assert!(batches.iter().all(|batch| batch.body["value"].as_array().unwrap().len() <= 1_000));
    index.upsert(upsert("a.txt", version(2, "2"), &["harbour"])).await.unwrap();
    assert_eq!(kinds(&service, FIRST), (1, 1), "all of the old version is deleted");
}

#[tokio::test]
async fn an_export_holds_what_can_be_found() {
    let (service, clock, index) = place().await;
    index.upsert(upsert("a.txt", version(1, "1"), &["harbour one"])).await.unwrap();
    index.upsert(upsert("a.txt", version(2, "2"), &["harbour two", "harbour three"])).await.unwrap();
    index.upsert(upsert("b.txt", version(1, "1"), &["gone"])).await.unwrap();
    index.remove(&id("b.txt"), None).await.unwrap();
    let mut settings = None;
    open_search(&service, clock.clone(), |known| settings = Some(known.clone()));
    let mut lines = Vec::new();
    let search = AzureSearchIndex::new(settings.unwrap(), clock);
    let keep = |bytes: bytes::Bytes| {
        lines.extend_from_slice(&bytes);
        Ok(())
    };
    let exported = search.export(keep).await.unwrap();
    assert_eq!((exported.documents, exported.passages), (1, 2));
    let lines = String::from_utf8(lines).unwrap();
    let texts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone());
    assert_eq!(texts.collect::<Vec<_>>(), ["harbour two", "harbour three"]);
}

/// Runs the official client against the stand-in, and returns what it prints.
async fn official_client(service: &FakeSearch, arguments: &[&str]) -> Value {
    // It is installed here when the script that runs the tests has not done it.
    let command = "set -e; source scripts/lib/prepare; need_python_packages search-client azure_search.txt
        exec python -B tests/python/azure_search.py \"$@\"";
    let [task, rest @ ..] = arguments else { panic!("a task is named") };
    let address = service.url();
    let output = tokio::process::Command::new("bash")
        .args(["-c", command, "bash", task, &address, fake_search::KEY])
        .args(rest)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output();
    let output = output.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"))
}

#[tokio::test]
async fn the_official_client_agrees_with_the_stand_in_and_reads_what_the_product_wrote() {
    let (service, _clock, index) = place().await;
    assert_eq!(official_client(&service, &["conform"]).await, json!("conforms"));
    index.upsert(upsert("a.txt", version(1, "1"), &["the harbour wall", "leave"])).await.unwrap();
    let mut hidden = upsert("b.txt", version(1, "1"), &["a secret harbour"]);
    hidden.rows[0].readers.clear();
    index.upsert(hidden).await.unwrap();
    let read = official_client(&service, &["read", "knowledge-worker", "harbours"]).await;
    assert_eq!(read["found"], json!([{"name": "a.txt", "text": "the harbour wall", "page": 1}]));
    assert_eq!((&read["index"], &read["key"]), (&json!(FIRST), &json!(["id"])));
    assert_eq!(read["analyzers"], json!(["CustomAnalyzer"]));
    assert_eq!(read["steps"], json!(["cjk_width", "lowercase", "asciifolding", "cjk_bigram", "stop-words", "endings"]));
    assert_eq!(read["rows"], 5, "three passages and two claims");
}

/// The settings of a product that uses a service.
fn settings(service: &FakeSearch) -> [(&'static str, String); 2] {
    [("AZURE_SEARCH_ENDPOINT", service.url()), ("AZURE_SEARCH_API_KEY", fake_search::KEY.to_owned())]
}

async fn ask(server: &Server, question: &str) -> String {
    let sent = reqwest::Client::new().post(server.url("/api/chat")).json(&json!({ "message": question })).send();
    let answer: Value = sent.await.unwrap().json().await.unwrap();
    answer["response"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_answers_from_the_service_as_it_does_from_blobs() {
    let (service, home) = (FakeSearch::start().await, Place::new());
    let settings = settings(&service);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = tokio::task::block_in_place(|| home.serve(&settings));
    let question = "How many days of annual leave does the staff get?";
    let answers = async |words: &str| {
        let look = async || ask(&server, question).await.contains(words).then_some(());
        eventually(words, look).await;
    };
    answers("don't know").await;
    let text = |days: u32| format!("# Leave\n\nThe staff get {days} days of annual leave.\n");
    let file = |days: u32| {
        let part = reqwest::multipart::Part::text(text(days)).file_name("leave.md");
        let form = reqwest::multipart::Form::new().part("file", part);
        reqwest::Client::new().post(server.url("/api/upload")).multipart(form).send()
    };
    assert_eq!(file(25).await.unwrap().status(), 202);
    answers("25 days").await;
    assert_eq!(file(31).await.unwrap().status(), 202);
    answers("31 days").await;
    assert!(!ask(&server, question).await.contains("25 days"));
    let health: Value = reqwest::get(server.url("/api/health")).await.unwrap().json().await.unwrap();
    assert_eq!(health["services"]["search"], "healthy");
    let id = id("leave.md");
    let deleted = reqwest::Client::new().delete(server.url(&format!("/api/documents/{id}"))).send().await.unwrap();
    assert!(deleted.status().is_success());
    assert!(ask(&server, question).await.contains("don't know"), "not findable any more when the answer comes");
    let kept = std::fs::read_dir(home.path("data/index")).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "nothing of the index is kept here");
}

#[test]
fn a_key_never_goes_over_a_network_in_the_clear() {
    let check = |name: &'static str, value: &str| {
        let given =
            [("AZURE_SEARCH_ENDPOINT", "https://x.search.windows.net"), ("AZURE_SEARCH_API_KEY", "k"), (name, value)];
        let problems = Config::from_source(&Source::of(given), program()).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.name).collect::<Vec<_>>()
    };
    for good in ["https://x.search.windows.net", "http://127.0.0.1:7000", "http://localhost:1/", "http://[::1]:1"] {
        assert!(check("AZURE_SEARCH_ENDPOINT", good).is_empty(), "{good}");
    }
    for bad in [
        "http://x.search.windows.net",
        "ftp://127.0.0.1",
        "https://u:p@x.net",
        "https://x.net/path",
        "https://x.net?a",
        "x",
    ] {
        assert_eq!(check("AZURE_SEARCH_ENDPOINT", bad), ["AZURE_SEARCH_ENDPOINT"], "{bad}");
    }
    for bad in ["Upper", "a--b", "-a", "a-", "a", "a')/docs"] {
        assert_eq!(check("AZURE_SEARCH_INDEX", bad), ["AZURE_SEARCH_INDEX"], "{bad}");
    }
    assert!(check("AZURE_SEARCH_API_KEY", "").is_empty(), "the identity of the app signs in then");
    assert_eq!(check("AZURE_SEARCH_SEMANTIC_RANKER", "yes"), ["AZURE_SEARCH_SEMANTIC_RANKER"]);
}
