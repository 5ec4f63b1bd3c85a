//! Records in Cosmos DB: what is special about this form of the record store. The contract that it shares with the embedded
//! form is in `record_stores.rs`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_data_cosmos::fault_injection::{
    FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
    FaultInjectionRuleBuilder,
};
use knowledge_worker::clock::Clock;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::reason::Reason;
use knowledge_worker::stores::records::cosmos::{CosmosAuthorization, CosmosRecords, CosmosSettings};
use knowledge_worker::stores::records::{Precondition, RecordStore};
use serde_json::{Value, json};

use crate::support::cosmos::{Container, KEY};

/// A store on a container of its own, connected, and nothing counted yet.
async fn store() -> (Container, CosmosRecords) {
    let container = Container::new().await;
    let store = CosmosRecords::new(container.settings(), Clock::system());
    assert!(store.get("p", "connects").await.unwrap().is_none());
    container.calls().await;
    (container, store)
}

/// The calls that the service saw, by operation.
async fn operations(container: &Container) -> Value {
    container.calls().await["operations"].clone()
}

#[tokio::test]
async fn every_call_is_one_and_its_charge_is_counted() {
    let (container, store) = store().await;
    let before = store.usage();
    let etag = store.put("p", "a", &json!({"n": 1}), Precondition::IfAbsent, None).await.unwrap();
    store.put("p", "a", &json!({"n": 2}), Precondition::IfMatch(etag), None).await.unwrap();
    store.put("p", "b", &json!({"n": 3}), Precondition::Always, None).await.unwrap();
    store.get("p", "a").await.unwrap().unwrap();
    let page = store.list("p", None, 10).await.unwrap();
    assert_eq!(store.count("p").await.unwrap(), 2);
    assert_eq!(page.records[0].etag, store.get("p", "a").await.unwrap().unwrap().etag, "a list tells the same ETags");
    let calls = container.calls().await;
    assert_eq!(calls["operations"], json!({"create": 1, "replace": 1, "upsert": 1, "read": 2, "query": 2}));
    let usage = store.usage();
    assert_eq!(usage.calls - before.calls, 7);
    let charged = usage.request_units - before.request_units;
    assert!((charged - calls["request_units"].as_f64().unwrap()).abs() < 0.01, "{charged} of {calls}");
    store.delete("p", "a").await.unwrap();
    assert_eq!(operations(&container).await, json!({"read": 1, "delete": 1}));
}

#[tokio::test]
async fn any_text_can_be_an_id_or_a_partition() {
    let (_container, store) = store().await;
    let mut names = ["a/b", "a\\b?c#d", "%2F", "..", "ü\u{0}\u{1F600}", " ", "A", "a", "aa", "{~", "_^", "a b\n\"'"];
    for name in names {
        store.put(&format!("kind/{name}"), "x", &json!(name), Precondition::IfAbsent, None).await.unwrap();
        store.put("p", name, &json!(name), Precondition::IfAbsent, None).await.unwrap();
        assert_eq!(store.get("p", name).await.unwrap().unwrap().id, name);
    }
    names.sort_unstable();
    let listed = store.list("p", None, 100).await.unwrap().records;
    assert_eq!(listed.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), names);
    let mut partitions: Vec<String> = names.iter().map(|name| format!("kind/{name}")).collect();
    partitions.push("p".to_owned());
    assert_eq!(store.partitions().await.unwrap(), partitions);
    for unfit in [String::new(), "/".repeat(400)] {
        let refused = store.put("p", &unfit, &json!(1), Precondition::Always, None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn a_partition_may_hold_more_than_a_page_of_the_service() {
    let (container, store) = store().await;
    for number in 0..250 {
        let body = json!({"text": "x".repeat(500)});
        store.put("p", &format!("{number:03}"), &body, Precondition::IfAbsent, None).await.unwrap();
    }
    container.calls().await;
    container.fail(json!({"times": 100, "page": 100})).await;
    let page = store.list("p", Some("009"), 230).await.unwrap();
    assert_eq!(operations(&container).await, json!({"query": 3}), "the service gave it in pages");
    assert_eq!((page.records.len(), page.next.as_deref()), (230, Some("239")));
    assert_eq!(store.count("p").await.unwrap(), 250);
    assert_eq!(store.partitions().await.unwrap(), ["p"]);
    container.heal().await;
    let large = json!("x".repeat(3 << 20));
    let refused = store.put("p", "large", &large, Precondition::Always, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BodyTooLarge);
    let fits = json!("x".repeat((2 << 20) - (5 << 10)));
    store.put("p", "fits", &fits, Precondition::Always, None).await.unwrap();
    assert_eq!(store.get("p", "fits").await.unwrap().unwrap().body, fits);
}

#[tokio::test]
async fn a_write_whose_answer_got_lost_is_known_as_ones_own() {
    let (container, store) = store().await;
    let lost = |operation: &str| json!({"operation": operation, "times": 1, "status": 408, "late": true});
    container.fail(lost("create")).await;
    let etag = store.put("p", "a", &json!(1), Precondition::IfAbsent, None).await.unwrap();
    assert_eq!(
        operations(&container).await,
        json!({"create": 2, "read": 1}),
        "the first try was done, the second refused"
    );
    container.fail(lost("replace")).await;
    let etag = store.put("p", "a", &json!(2), Precondition::IfMatch(etag), None).await.unwrap();
    let found = store.get("p", "a").await.unwrap().unwrap();
    assert_eq!((found.body, found.etag), (json!(2), etag));
    container.fail(lost("delete")).await;
    assert!(store.delete("p", "a").await.unwrap(), "it was there");
    assert!(store.get("p", "a").await.unwrap().is_none());
}

#[tokio::test]
async fn trouble_that_passes_is_not_noticed() {
    let (container, store) = store().await;
    store.put("p", "a", &json!(1), Precondition::Always, None).await.unwrap();
    for fault in [
        json!({"status": 429, "substatus": 3200, "retry_after_ms": 5}),
        json!({"status": 449}),
        json!({"status": 503}),
        json!({"status": 408}),
        json!({"status": 500}),
        json!({"cut": true}),
        json!({"delay_ms": 300}),
    ] {
        let fault = merged(fault, json!({"times": 1}));
        container.fail(fault.clone()).await;
        assert_eq!(store.get("p", "a").await.unwrap().map(|record| record.body), Some(json!(1)), "{fault}");
        assert_eq!(store.list("p", None, 5).await.unwrap().records.len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn trouble_that_lasts_ends_in_time_with_few_tries_and_the_next_call_works() {
    let (container, store) = store().await;
    store.put("p", "a", &json!(1), Precondition::Always, None).await.unwrap();
    for fault in [
        json!({"status": 429, "substatus": 3200, "retry_after_ms": 5}),
        json!({"status": 429, "substatus": 3200, "retry_after_ms": 86_400_000}),
        json!({"status": 503}),
        json!({"status": 408}),
        json!({"status": 401}),
        json!({"status": 403}),
        json!({"status": 500}),
        json!({"cut": true}),
    ] {
        container.calls().await;
        let fault = merged(fault, json!({"times": 100, "operation": "read"}));
        container.fail(fault.clone()).await;
        let begun = Instant::now();
        let failed = store.get("p", "a").await.unwrap_err();
        let (took, tries) = (begun.elapsed(), operations(&container).await["faults"].clone());
        println!("{fault}: {tries} tries, {took:?}: {}", failed.chain());
        assert_eq!(failed.kind(), ErrorKind::StoreUnavailable, "{fault}");
        assert!(took < Duration::from_secs(15), "{fault} took {took:?}");
        let most = if fault["cut"] == true { 4 } else { 3 };
        assert!(tries.as_u64().unwrap() <= most, "{fault} was tried {tries} times");
        container.heal().await;
        assert!(store.get("p", "a").await.unwrap().is_some(), "after {fault}");
    }
}

#[tokio::test]
async fn who_does_not_answer_at_all_is_not_waited_for_longer_than_a_call_may_take() {
    let (container, store) = store().await;
    container.fail(json!({"times": 100, "delay_ms": 120_000})).await;
    let begun = Instant::now();
    let failed = store.get("p", "a").await.unwrap_err();
    println!("silence: {:?}: {}", begun.elapsed(), failed.chain());
    assert_eq!(failed.kind(), ErrorKind::StoreUnavailable);
    assert!(begun.elapsed() < Duration::from_secs(17), "{:?}", begun.elapsed());
    container.heal().await;
    assert!(store.get("p", "a").await.unwrap().is_none());
}

/// A credential that notes what it was asked for.
#[derive(Debug, Default)]
struct Tokens {
    asked: Mutex<Vec<String>>,
    refuses: bool,
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.asked.lock().unwrap().push(scopes.join(" "));
        if self.refuses {
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, "no role"));
        }
        let expires = azure_core::time::OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new("quokkamarmalade", expires))
    }
}

#[tokio::test]
async fn an_identity_signs_in_and_is_asked_with_the_first_call() {
    let container = Container::new().await;
    let store = |tokens: &Arc<Tokens>| {
        let authorization = CosmosAuthorization::Identity(Arc::clone(tokens) as Arc<dyn TokenCredential>);
        CosmosRecords::new(CosmosSettings { authorization, ..container.settings() }, Clock::system())
    };
    let tokens = Arc::new(Tokens::default());
    let records = store(&tokens);
    assert!(tokens.asked.lock().unwrap().is_empty());
    records.put("p", "a", &json!(1), Precondition::IfAbsent, None).await.unwrap();
    assert_eq!(records.get("p", "a").await.unwrap().unwrap().body, json!(1));
    let asked = tokens.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|scope| scope == "https://cosmos.azure.com/.default"), "{asked:?}");

    let refused = store(&Arc::new(Tokens { refuses: true, ..Tokens::default() })).get("p", "a").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreUnavailable);
    assert!(refused.chain().contains("no role"), "{}", refused.chain());
    assert!(!format!("{records:?}{}", refused.chain()).contains("quokkamarmalade"));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_is_empty() {
    let container = Container::new().await;
    let missing = CosmosSettings { container: "nobody-made-it".to_owned(), ..container.settings() };
    let failed = CosmosRecords::new(missing, Clock::system()).get("p", "a").await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreUnavailable, "{}", failed.chain());
    assert!(failed.chain().contains("cannot connect to the container"), "{}", failed.chain());
    let nobody = CosmosSettings { endpoint: "http://127.0.0.1:9".parse().unwrap(), ..container.settings() };
    let begun = Instant::now();
    let failed = CosmosRecords::new(nobody, Clock::system()).get("p", "a").await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreUnavailable);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    println!("nobody there: {:?}: {}", begun.elapsed(), failed.chain());
}

#[tokio::test]
async fn the_official_client_reads_and_changes_what_the_product_wrote() {
    let (container, store) = store().await;
    let etag = store.put("documents", "changed", &json!({"text": "ü"}), Precondition::IfAbsent, None).await.unwrap();
    let hour = Some(Duration::from_secs(3_600));
    store.put("documents", "a/b", &json!([1, null]), Precondition::IfAbsent, hour).await.unwrap();
    store.put("embeddings/m", "x", &json!("AAAA"), Precondition::Always, None).await.unwrap();
    let found = official_client(&container).await;
    let listed = json!([
        {"id": "a-2fb", "scope": "", "body": [1, null], "ttl": 3_602},
        {"id": "changed", "scope": "", "body": {"text": "ü"}, "ttl": null},
    ]);
    assert_eq!(found["listed"], listed, "{found}");
    assert_eq!(found["paths"], json!(["/kind", "/scope"]));
    assert_eq!(found["default_ttl"], -1);
    assert_eq!(found["kinds"], json!(["documents", "documents", "embeddings"]));
    assert_eq!((&found["etag"], &found["second"]), (&json!(etag), &json!("refused")));

    let stale = store.put("documents", "changed", &json!(1), Precondition::IfMatch(etag), None).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
    let by_the_client = store.get("documents", "changed").await.unwrap().unwrap();
    assert_eq!(by_the_client.body, json!({"by": "the client"}));
    store.put("documents", "changed", &json!(1), Precondition::IfMatch(by_the_client.etag), None).await.unwrap();
}

#[test]
fn the_emulator_is_that_of_the_driver_that_is_shipped() {
    let version = |lock: &str| {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(lock)).unwrap();
        let (_, rest) = text.split_once("name = \"azure_data_cosmos_driver\"\nversion = \"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(version("Cargo.lock"), version("tests/cosmos_front/Cargo.lock"));
}

/// Runs the official client for Python, and returns what it prints.
async fn official_client(container: &Container) -> Value {
    // It is installed here when the script that runs the tests has not done it.
    let command = "set -e; source scripts/lib/prepare; need_python_packages cosmos-client azure_cosmos.txt
        exec python -B tests/python/azure_cosmos.py \"$@\"";
    let settings = container.settings();
    let output = tokio::process::Command::new("bash")
        .args(["-c", command, "bash", settings.endpoint.as_str(), KEY, &settings.database, &settings.container])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output();
    let output = output.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"))
}

fn merged(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

/// A store whose client plays a fault, when it is told to, to whatever is done with items; `times` in a row at most.
async fn store_with(fault: FaultInjectionErrorType, times: Option<u32>) -> (CosmosRecords, Arc<FaultInjectionRule>) {
    let container = Container::new().await;
    let result = FaultInjectionResultBuilder::new().with_error(fault).build();
    let condition = FaultInjectionConditionBuilder::new().with_container_id(&container.name).build();
    let rule = FaultInjectionRuleBuilder::new("fault", result).with_condition(condition);
    let rule = Arc::new(times.into_iter().fold(rule, FaultInjectionRuleBuilder::with_hit_limit).build());
    rule.disable();
    let store = CosmosRecords::with_faults(container.settings(), Clock::system(), vec![Arc::clone(&rule)]);
    store.put("p", "kept", &json!({"n": 1}), Precondition::IfAbsent, None).await.unwrap();
    assert_eq!(rule.hit_count(), 0, "nothing is played yet");
    rule.enable();
    (store, rule)
}

#[tokio::test]
async fn a_fault_of_the_service_that_passes_is_not_seen() {
    use FaultInjectionErrorType as F;
    for (fault, times) in [
        (F::TooManyRequests, 2),
        (F::RetryWith, 2),
        (F::ServiceUnavailable, 1),
        (F::Timeout, 1),
        (F::PartitionIsGone, 1),
        (F::ConnectionError, 1),
    ] {
        let (store, rule) = store_with(fault, Some(times)).await;
        let began = Instant::now();
        let got = store.get("p", "kept").await.unwrap_or_else(|e| panic!("{fault:?}: {}", e.chain()));
        assert_eq!((got.unwrap().body, rule.hit_count()), (json!({"n": 1}), times), "{fault:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{fault:?} {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_fault_of_the_service_that_lasts_is_told_in_time_and_after_few_tries() {
    use FaultInjectionErrorType as F;
    for (fault, reason) in [
        (F::TooManyRequests, Some(Reason::Busy)),
        (F::ServiceUnavailable, Some(Reason::Failed)),
        (F::InternalServerError, Some(Reason::Failed)),
        (F::Timeout, Some(Reason::TooSlow)),
        (F::PartitionIsGone, None),
        (F::ConnectionError, Some(Reason::Failed)),
        (F::WriteForbidden, Some(Reason::Failed)),
        // Its client would go on for longer than we let it.
        (F::RetryWith, Some(Reason::TooSlow)),
    ] {
        let (store, rule) = store_with(fault, None).await;
        let began = Instant::now();
        let error = store.put("p", "new", &json!({"n": 2}), Precondition::IfAbsent, None).await.unwrap_err();
        println!("{fault:?}: {:?} {:?} {} tries {:?}", error.kind(), error.reason(), rule.hit_count(), began.elapsed());
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{fault:?}: {}", error.chain());
        assert_eq!(error.reason(), reason, "{fault:?}: {}", error.chain());
        assert!(began.elapsed() < Duration::from_secs(20), "{fault:?} {:?}", began.elapsed());
        let most = if fault == F::RetryWith { 30 } else { 5 };
        assert!(rule.hit_count() <= most, "{fault:?}: {} tries", rule.hit_count());
        rule.disable();
        let got = store.get("p", "kept").await.unwrap_or_else(|e| panic!("{fault:?}: {}", e.chain()));
        assert!(got.is_some() && store.get("p", "new").await.unwrap().is_none(), "{fault:?}: nothing was written");
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once_or_told_as_failed() {
    let (store, rule) = store_with(FaultInjectionErrorType::ResponseTimeoutAfterService, Some(1)).await;
    let etag = store.put("p", "new", &json!({"n": 2}), Precondition::IfAbsent, None).await;
    assert_eq!(rule.hit_count(), 1, "the answer was lost");
    let found = store.get("p", "new").await.unwrap().unwrap();
    assert_eq!(found.body, json!({"n": 2}));
    assert_eq!(etag.unwrap(), found.etag, "the store knows its own write again");
    // Another one does not take it for its own.
    let second = store.put("p", "new", &json!({"n": 2}), Precondition::IfAbsent, None).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::PreconditionFailed);
}
