//! Actions: proposed, shown, confirmed by whoever they were proposed for, done once or not at all, and told to the audit.

mod asked_for;
mod reports;
pub mod sinks;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use knowledge_worker::actions::ActionState;
use knowledge_worker::audit::AuditRecord;
use knowledge_worker::clock::Clock;
use knowledge_worker::document::Principal;
use knowledge_worker::error::ErrorKind;
use serde_json::{Value, json};
use sha2::Sha256;

use self::sinks::{Habit, HookSink, MailSink};
use crate::support::app::{Answer, TestApp, get, post_json};

const BODY: &str = "The ferry leaves at nine.\nKeep this to yourself: canary-4711.";

/// Settings with which mail goes to a sink.
fn mail_settings(url: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("ACTIONS", "send_email,create_task,generate_report"),
        ("SMTP_URL", url),
        ("MAIL_FROM", "Help Desk <desk@contoso.com>"),
        ("MAIL_ALLOWED_DOMAINS", "contoso.com,*.contoso.org"),
        ("ACTION_WEBHOOK_URL", "http://127.0.0.1:9/"),
    ]
}

fn mail() -> Value {
    json!({"action_type": "send_email", "parameters": {"to": ["ann@contoso.com", "bob@a.contoso.org"],
        "subject": "The ferry, früh", "body": BODY}})
}

fn task() -> Value {
    json!({"action_type": "create_task", "parameters": {"title": "Paint the pier", "description": "Green, as before.",
        "assignee": "Ann", "due": "2026-12-24", "priority": "high"}})
}

async fn propose(test: &TestApp, proposal: &Value) -> Value {
    let proposed = test.post("/api/actions", proposal).await;
    assert_eq!(proposed.status, StatusCode::CREATED, "{proposed:?}");
    let action = proposed.json();
    let place = format!("/api/actions/{}", action["id"].as_str().unwrap());
    assert_eq!(proposed.headers["location"], place.as_str());
    action
}

async fn step(test: &TestApp, action: &Value, step: &str) -> Answer {
    test.send(post_json(&format!("/api/actions/{}/{step}", action["id"].as_str().unwrap()), "")).await
}

async fn look(test: &TestApp, action: &Value) -> Answer {
    test.send(get(&format!("/api/actions/{}", action["id"].as_str().unwrap()))).await
}

async fn audit(test: &TestApp) -> Vec<AuditRecord> {
    let mut all = Vec::new();
    test.app.audit.read(None, None, |record| all.push(record)).await.unwrap();
    all
}

fn steps(records: &[AuditRecord]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.what.as_str(), record.outcome.as_str())).collect()
}

#[tokio::test]
async fn nothing_can_be_proposed_until_somebody_switches_it_on() {
    let test = TestApp::new();
    test.post("/api/actions", &mail()).await.assert_problem("action-not-allowed");
    test.post("/api/actions", &task()).await.assert_problem("action-not-allowed");
    assert!(audit(&test).await.is_empty());
}

#[tokio::test]
async fn a_mail_is_shown_then_sent_once_and_the_audit_knows() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let action = propose(&test, &mail()).await;
    assert_eq!((&action["state"], &action["dry_run"]), (&json!("proposed"), &json!(false)));
    assert_eq!(action["parameters"], mail()["parameters"], "a person sees all that will be sent");
    let summary = action["summary"].as_str().unwrap();
    assert!(summary.contains("ann@contoso.com, bob@a.contoso.org") && summary.contains("The ferry, früh"), "{summary}");
    assert!(sink.mails().is_empty(), "nothing is sent yet");
    let done = step(&test, &action, "confirm").await;
    assert_eq!((done.status, &done.json()["state"]), (StatusCode::OK, &json!("done")), "{done:?}");
    assert_eq!(done.json()["result"]["sent_to"], mail()["parameters"]["to"]);
    let again = step(&test, &action, "confirm").await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, done.json()));
    assert_eq!(look(&test, &action).await.json(), done.json());
    let mails = sink.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!((mails[0].from.as_str(), mails[0].to.len()), ("desk@contoso.com", 2));
    assert!(mails[0].text.contains("From: \"Help Desk\" <desk@contoso.com>\r\n"), "{}", mails[0].text);
    assert!(mails[0].text.contains(&format!("<{}@contoso.com>", action["id"].as_str().unwrap())), "{}", mails[0].text);
    assert!(mails[0].text.contains("canary-4711"), "{}", mails[0].text);
    let records = audit(&test).await;
    let expected = [("action.proposed", "ok"), ("action.confirmed", "ok"), ("action.finished", "ok")];
    assert_eq!(steps(&records), expected);
    for record in &records {
        assert_eq!((record.who.as_str(), record.subject.as_str()), ("anonymous", action["id"].as_str().unwrap()));
        assert_eq!(record.about["to"], mail()["parameters"]["to"]);
        assert_eq!(record.about["parameters_sha256"].as_str().unwrap().len(), 64);
        assert!(!json!(record).to_string().contains("canary"), "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_confirm_at_once_one_sends() {
    const CONFIRMATIONS: usize = 50;
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let other = TestApp::of(test.again(&mail_settings(&url)), &test);
    let action = propose(&test, &mail()).await;
    let confirmed = join_all((0..CONFIRMATIONS).map(|number| {
        // Half of them at another instance on the same records.
        let at = if number % 2 == 0 { &test } else { &other };
        step(at, &action, "confirm")
    }));
    for answer in confirmed.await {
        let state = answer.json()["state"].clone();
        let is_fine = matches!(
            (answer.status, state.as_str()),
            (StatusCode::OK, Some("done")) | (StatusCode::ACCEPTED, Some("running"))
        );
        assert!(is_fine, "{answer:?}");
    }
    assert_eq!(look(&test, &action).await.json()["state"], "done");
    assert_eq!(sink.mails().len(), 1);
    assert_eq!(steps(&audit(&test).await).iter().filter(|(what, _)| *what == "action.confirmed").count(), 1);
}

#[tokio::test]
async fn a_task_goes_to_the_webhook_signed_and_under_its_id() {
    let sink = HookSink::start(Habit::Take).await;
    let (whole, app) = (sink.url("/hooks?key=k3y"), sink.url(""));
    let secret = format!("whsec_{}", BASE64_STANDARD.encode("a very secret key"));
    for (setting, address, path) in
        [("ACTION_WEBHOOK_URL", &whole, "/hooks?key=k3y"), ("AZURE_FUNCTION_APP_URL", &app, "/api/create_task")]
    {
        let test = TestApp::with(&[("ACTIONS", "create_task"), (setting, address), ("ACTION_WEBHOOK_SECRET", &secret)]);
        let action = propose(&test, &task()).await;
        let summary = action["summary"].as_str().unwrap();
        assert!(
            summary.contains("Paint the pier") && summary.contains("127.0.0.1") && !summary.contains("k3y"),
            "{summary}"
        );
        let done = step(&test, &action, "confirm").await.json();
        assert_eq!(done["result"], json!({"status": 201, "reference": "T-1"}), "{done}");
        let called = sink.calls().pop().unwrap();
        assert_eq!(called.path, path);
        assert_eq!(serde_json::from_str::<Value>(&called.body).unwrap(), task()["parameters"]);
        let header = |name: &str| called.headers[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("idempotency-key"), header("webhook-id")),
            (action["id"].as_str().unwrap().into(), header("idempotency-key"))
        );
        assert_eq!(header("x-action-type"), "create_task");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a very secret key").unwrap();
        mac.update(format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), called.body).as_bytes());
        let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), expected);
    }
    assert_eq!(sink.calls().len(), 2);
}

#[tokio::test]
async fn a_mail_without_a_mail_server_goes_to_the_webhook() {
    let sink = HookSink::start(Habit::Take).await;
    let url = sink.url("/mail");
    let settings = [("ACTIONS", "send_email"), ("MAIL_ALLOWED_DOMAINS", "*"), ("ACTION_WEBHOOK_URL", url.as_str())];
    let test = TestApp::with(&settings);
    let action = propose(&test, &mail()).await;
    assert_eq!(step(&test, &action, "confirm").await.json()["state"], "done");
    assert!(!sink.calls()[0].headers.contains_key("webhook-signature"), "there is no secret to sign with");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anybody_is_asked() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let with = |member: &str, value: Value| {
        let mut proposal = mail();
        proposal["parameters"][member] = value;
        proposal
    };
    let of_task = |member: &str, value: Value| {
        let mut proposal = task();
        proposal["parameters"][member] = value;
        proposal
    };
    let (invalid, refused) = ("invalid-request", "action-not-allowed");
    for (proposal, code) in [
        (with("subject", json!("Hello\r\nBcc: eve@evil.test")), invalid),
        (with("subject", json!("Hello\nBcc: eve@evil.test")), invalid),
        (with("subject", json!("Hello\u{2028}Bcc: eve@evil.test")), invalid),
        (with("subject", json!(" ")), invalid),
        (with("subject", json!("x".repeat(201))), invalid),
        (with("to", json!("ann@contoso.com\r\nBcc: eve@evil.test")), invalid),
        (with("to", json!("ann@contoso.com, eve@evil.test")), invalid),
        (with("to", json!([])), invalid),
        (with("to", json!(vec!["ann@contoso.com"; 21])), invalid),
        (with("to", json!("eve@evil.test")), refused),
        (with("to", json!(["ann@contoso.com", "eve@contoso.com.evil.test"])), refused),
        (with("body", json!("")), invalid),
        (with("body", json!("a\u{0}b")), invalid),
        (with("body", json!("x".repeat(100_001))), invalid),
        (with("bcc", json!("eve@evil.test")), invalid),
        (of_task("title", json!("two\nlines")), invalid),
        (of_task("due", json!("tomorrow")), invalid),
        (of_task("priority", json!("urgent")), invalid),
        (of_task("owner", json!("me")), invalid),
        (json!({"action_type": "delete_everything", "parameters": {}}), invalid),
        (json!({"action_type": "send_email", "parameters": []}), invalid),
        (json!({"action_type": "send_email"}), invalid),
        (json!({"action_type": "send_email", "parameters": mail()["parameters"], "confirmed": true}), invalid),
    ] {
        let answer = test.post("/api/actions", &proposal).await;
        answer.assert_problem(code);
        assert!(!answer.body.contains("evil") && !answer.body.contains("tomorrow"), "{answer:?}");
    }
    assert!(sink.mails().is_empty() && audit(&test).await.is_empty());
    let listed = test.send(get("/api/actions")).await.json();
    assert_eq!(listed["actions"], json!([]));
}

#[tokio::test]
async fn a_dry_run_does_nothing() {
    let (mails, hooks) = (MailSink::start(Habit::Take).await, HookSink::start(Habit::Take).await);
    let (smtp, hook) = (mails.url(), hooks.url("/"));
    let mut settings = mail_settings(&smtp);
    settings.retain(|(name, _)| *name != "ACTION_WEBHOOK_URL");
    settings.extend([("ACTIONS_DRY_RUN", "true"), ("ACTION_WEBHOOK_URL", hook.as_str())]);
    let test = TestApp::with(&settings);
    test.ingest("ferry.md", "The ferry leaves at nine.").await;
    let report = json!({"action_type": "generate_report", "parameters": {"title": "Ferry", "documents": ["ferry.md"]}});
    for proposal in [mail(), task(), report] {
        let action = propose(&test, &proposal).await;
        assert!(action["summary"].as_str().unwrap().contains("Dry run"), "{action}");
        let done = step(&test, &action, "confirm").await.json();
        assert_eq!((&done["state"], &done["result"]["dry_run"]), (&json!("done"), &json!(true)), "{done}");
    }
    assert!(mails.mails().is_empty() && hooks.calls().is_empty());
    assert!(test.app.actions.reports().store().list("", None, 10).await.unwrap().blobs.is_empty());
}

#[tokio::test]
async fn a_rejected_action_is_never_done_and_a_confirmed_one_stays_done() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let (no, yes) = (propose(&test, &mail()).await, propose(&test, &mail()).await);
    for _ in 0..2 {
        let rejected = step(&test, &no, "reject").await;
        assert_eq!((rejected.status, &rejected.json()["state"]), (StatusCode::OK, &json!("rejected")));
    }
    step(&test, &no, "confirm").await.assert_problem("action-decided");
    assert!(sink.mails().is_empty());
    assert_eq!(step(&test, &yes, "confirm").await.status, StatusCode::OK);
    step(&test, &yes, "reject").await.assert_problem("action-decided");
    let listed = test.send(get("/api/actions?limit=1")).await.json();
    let (first, next) = (&listed["actions"][0], listed["next"].as_str().unwrap());
    let rest = test.send(get(&format!("/api/actions?limit=5&after={next}"))).await.json();
    assert_eq!(rest["actions"].as_array().unwrap().len(), 1);
    let ids = [first["id"].clone(), rest["actions"][0]["id"].clone()];
    assert!(ids.contains(&no["id"]) && ids.contains(&yes["id"]) && rest["next"].is_null(), "{listed} {rest}");
    let records = audit(&test).await;
    let rejections = records.iter().filter(|record| record.what == "action.rejected");
    assert_eq!(rejections.count(), 1);
}

#[tokio::test]
async fn somebody_elses_action_is_as_absent_as_one_that_never_was() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let ann = Principal::user("t1", "ann", []).unwrap();
    let proposed = test.app.actions.propose(&ann, "send_email", &mail()["parameters"]).await.unwrap();
    for id in [proposed.id.as_str(), &"0".repeat(32), "..%2Fann", "%ff", &"A".repeat(32)] {
        for request in [
            get(&format!("/api/actions/{id}")),
            post_json(&format!("/api/actions/{id}/confirm"), ""),
            post_json(&format!("/api/actions/{id}/reject"), ""),
        ] {
            let answer = test.send(request).await;
            answer.assert_problem("not-found");
            assert_eq!(answer.json()["detail"], "there is no such action");
        }
    }
    let bob = Principal::user("t1", "bob", []).unwrap();
    for refused in
        [test.app.actions.confirm(&bob, &proposed.id).await, test.app.actions.reject(&bob, &proposed.id).await]
    {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert!(sink.mails().is_empty());
    assert!(test.app.actions.list(&bob, None, 10).await.unwrap().actions.is_empty());
    assert_eq!(test.app.actions.confirm(&ann, &proposed.id).await.unwrap().state, ActionState::Done);
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn a_proposal_that_nobody_decides_goes() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let first = TestApp::new();
    let clock = Clock::manual(first.clock.now());
    let test = TestApp::of(first.again_at(&clock, &mail_settings(&url)), &first);
    let (late, done) = (propose(&test, &mail()).await, propose(&test, &mail()).await);
    assert_eq!(step(&test, &done, "confirm").await.status, StatusCode::OK);
    clock.advance(Duration::from_secs(3_600));
    step(&test, &late, "confirm").await.assert_problem("not-found");
    assert_eq!(look(&test, &done).await.json()["state"], "done", "what was done is told for longer");
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn what_was_switched_off_meanwhile_is_not_done() {
    let sink = MailSink::start(Habit::Take).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let action = propose(&test, &mail()).await;
    let mut settings = mail_settings(&url);
    settings.retain(|(name, _)| !matches!(*name, "ACTIONS" | "MAIL_ALLOWED_DOMAINS"));
    let off = TestApp::of(test.again(&settings), &test);
    step(&off, &action, "confirm").await.assert_problem("action-not-allowed");
    settings.extend([("ACTIONS", "send_email"), ("MAIL_ALLOWED_DOMAINS", "elsewhere.test")]);
    let elsewhere = TestApp::of(test.again(&settings), &test);
    step(&elsewhere, &action, "confirm").await.assert_problem("action-not-allowed");
    assert!(sink.mails().is_empty());
    assert_eq!(look(&test, &action).await.json()["state"], "proposed");
}

#[tokio::test]
async fn an_action_whose_caller_leaves_is_done_all_the_same() {
    let sink = HookSink::start(Habit::Take).await;
    let url = sink.url("/");
    let test = TestApp::with(&[("ACTIONS", "create_task"), ("ACTION_WEBHOOK_URL", &url)]);
    let action = propose(&test, &task()).await;
    let actions = Arc::clone(&test.app.actions);
    let id = action["id"].as_str().unwrap().to_owned();
    let mut confirming = Box::pin(async move { actions.confirm(&Principal::anonymous(), &id).await });
    // Until the request is on its way; then whoever waits is gone.
    while sink.calls().is_empty() {
        let turn = tokio::time::timeout(Duration::from_millis(1), &mut confirming).await;
        if turn.is_ok() {
            break;
        }
    }
    drop(confirming);
    let done = async || (look(&test, &action).await.json()["state"] == "done").then_some(());
    crate::support::process::eventually("the action is done", done).await;
    assert_eq!(sink.calls().len(), 1);
}

#[tokio::test]
async fn a_query_that_means_nothing_is_refused() {
    let test = TestApp::new();
    test.send(get("/api/actions?limit=many")).await.assert_problem("invalid-request");
    test.send(get("/api/actions?owner=ann")).await.assert_problem("invalid-request");
    let request = Request::post("/api/actions").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    test.send(request).await.assert_problem("unsupported-media-type");
}
