//! Actions that go wrong: refused, cut off, killed. What was surely not done is failed, what may have been done is unknown, and
//! neither is ever begun again by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use knowledge_worker::clock::Clock;
use knowledge_worker::document::Principal;
use serde_json::{Value, json};

use super::sinks::{Habit, HookSink, MailSink};
use super::{BODY, audit, look, mail, mail_settings, propose, step, steps, task};
use crate::support::app::{TestApp, get, open};
use crate::support::process::{Place, eventually};

/// Confirms twice; what it came to, both times, and how many messages the server got.
async fn mail_to(habit: Habit) -> (Value, usize) {
    let sink = MailSink::start(habit).await;
    let url = sink.url();
    let test = TestApp::with(&mail_settings(&url));
    let action = propose(&test, &mail()).await;
    let first = step(&test, &action, "confirm").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(step(&test, &action, "confirm").await.json(), first.json());
    (first.json(), sink.mails().len())
}

#[tokio::test]
async fn a_mail_that_is_refused_has_failed_and_one_without_a_word_is_unknown() {
    let (refused, mails) = mail_to(Habit::Refuse).await;
    assert_eq!((&refused["state"], &refused["error"]["code"], mails), (&json!("failed"), &json!("action-failed"), 0));
    assert!(!refused.to_string().contains("nobody of that name"), "{refused}");
    let (cut, mails) = mail_to(Habit::Cut).await;
    assert_eq!(
        (&cut["state"], &cut["error"]["code"], mails),
        (&json!("unknown"), &json!("action-unknown"), 1),
        "{cut}"
    );
}

#[tokio::test]
async fn a_server_that_nobody_reaches_or_that_does_not_know_us_gets_no_mail() {
    let sink = MailSink::start(Habit::Take).await;
    let wrong = sink.url().replace("s3cret", "guess");
    // Nobody listens at the port for discarding.
    for url in ["smtp://127.0.0.1:9", wrong.as_str()] {
        let test = TestApp::with(&mail_settings(url));
        let action = propose(&test, &mail()).await;
        let failed = step(&test, &action, "confirm").await.json();
        assert_eq!(
            (&failed["state"], &failed["error"]["code"]),
            (&json!("failed"), &json!("action-failed")),
            "{failed}"
        );
        assert_eq!(steps(&audit(&test).await).last(), Some(&("action.finished", "action-failed")));
    }
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn over_tls_mail_goes_to_a_server_that_is_trusted_and_to_no_other() {
    for (certificate, state, mails) in [("server", "done", 1), ("foreign", "failed", 0)] {
        let sink = MailSink::start_tls(certificate).await;
        let url = sink.url_over_tls();
        let test = TestApp::with(&mail_settings(&url));
        let action = propose(&test, &mail()).await;
        let ended = step(&test, &action, "confirm").await.json();
        assert_eq!((ended["state"].as_str(), sink.mails().len()), (Some(state), mails), "{ended}");
    }
}

#[tokio::test]
async fn a_webhook_that_refuses_has_failed_and_one_without_a_word_is_unknown() {
    for (habit, state) in [(Habit::Refuse, "failed"), (Habit::Cut, "unknown")] {
        let sink = HookSink::start(habit).await;
        let url = sink.url("/");
        let test = TestApp::with(&[("ACTIONS", "create_task"), ("ACTION_WEBHOOK_URL", &url)]);
        let action = propose(&test, &task()).await;
        let first = step(&test, &action, "confirm").await.json();
        assert_eq!(first["state"], state, "{first}");
        assert_eq!(step(&test, &action, "confirm").await.json(), first);
        assert_eq!(sink.calls().len(), 1, "a request is never sent twice");
    }
    let test = TestApp::with(&[("ACTIONS", "create_task"), ("ACTION_WEBHOOK_URL", "http://127.0.0.1:9/")]);
    let action = propose(&test, &task()).await;
    assert_eq!(step(&test, &action, "confirm").await.json()["state"], "failed");
}

#[tokio::test]
async fn silence_ends_and_is_unknown_when_something_was_sent() {
    for (habit, of_mail) in
        [(Habit::Hang, ("unknown", "action-unknown", 1)), (Habit::Mute, ("failed", "action-failed", 0))]
    {
        let (mails, hooks) = (MailSink::start(habit).await, HookSink::start(habit).await);
        let (smtp, hook) = (mails.url(), hooks.url("/"));
        let mut settings = mail_settings(&smtp);
        settings.retain(|(name, _)| *name != "ACTION_WEBHOOK_URL");
        settings.push(("ACTION_WEBHOOK_URL", &hook));
        let test = TestApp::with(&settings);
        let mut actions = knowledge_worker::actions::Actions::clone(&test.app.actions);
        actions.proposals.settings.timeout = Duration::from_millis(500);
        let actions = Arc::new(actions);
        let ended = async |proposal: &Value| {
            let action = propose(&test, proposal).await;
            let id = action["id"].as_str().unwrap();
            let ended = json!(actions.confirm(&Principal::anonymous(), id).await.unwrap());
            assert_eq!(step(&test, &action, "confirm").await.json(), ended);
            ended
        };
        let mail = ended(&mail()).await;
        assert_eq!(
            (mail["state"].as_str(), mail["error"]["code"].as_str()),
            (Some(of_mail.0), Some(of_mail.1)),
            "{mail}"
        );
        let task = ended(&task()).await;
        assert_eq!(
            (&task["state"], &task["error"]["code"]),
            (&json!("unknown"), &json!("deadline-exceeded")),
            "{task}"
        );
        assert_eq!((mails.mails().len(), hooks.calls().len()), (of_mail.2, 1));
    }
}

/// Kills the process at a point of an action; what is left of it, and how many mails there are then and after another try.
async fn killed_at(point: &str) -> (Value, usize) {
    let sink = MailSink::start(Habit::Take).await;
    let (url, place, client) = (sink.url(), Place::new(), reqwest::Client::new());
    let mut settings = mail_settings(&url);
    settings.push(("KNOWLEDGE_WORKER_CRASH_AT", point));
    let mut server = place.serve_the_host(&settings);
    let asked = async || client.post(server.url("/api/actions")).json(&mail()).send().await.ok();
    let action: Value = eventually("an action is proposed", asked).await.json().await.unwrap();
    let confirm = server.url(&format!("/api/actions/{}/confirm", action["id"].as_str().unwrap()));
    assert!(client.post(confirm).send().await.is_err(), "the process ends before it answers");
    assert!(!server.status().await.success());
    let clock = Clock::manual(Clock::system().now());
    let first = TestApp::new();
    let test = TestApp::of(open(&place.path("data"), &mail_settings(&url), &clock), &first);
    let running = step(&test, &action, "confirm").await;
    assert_eq!((running.status, &running.json()["state"]), (StatusCode::ACCEPTED, &json!("running")));
    clock.advance(Duration::from_secs(120));
    assert_eq!(test.send(get("/api/actions")).await.json()["actions"][0]["state"], "unknown");
    let ended = step(&test, &action, "confirm").await.json();
    assert_eq!(
        (look(&test, &action).await.json(), step(&test, &action, "confirm").await.json()),
        (ended.clone(), ended.clone())
    );
    let records = audit(&test).await;
    assert_eq!(steps(&records).last(), Some(&("action.finished", "unknown")), "{records:?}");
    assert!(!json!(records).to_string().contains(BODY));
    (ended, sink.mails().len())
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_an_action_that_is_unknown_and_never_done_twice() {
    let (before, mails) = killed_at("action-running").await;
    assert_eq!((&before["state"], mails), (&json!("unknown"), 0), "{before}");
    let (after, mails) = killed_at("action-done").await;
    assert_eq!((&after["state"], mails), (&json!("unknown"), 1), "{after}");
}

#[tokio::test]
async fn the_audit_is_exported_by_time_and_outlives_a_restore() {
    let sink = MailSink::start(Habit::Take).await;
    let (url, place) = (sink.url(), Place::new());
    let clock = Clock::manual(Clock::system().now());
    let first = TestApp::new();
    let test = TestApp::of(open(&place.path("data"), &mail_settings(&url), &clock), &first);
    propose(&test, &mail()).await;
    let month_later = clock.now() + Duration::from_secs(40 * 86_400);
    clock.advance(Duration::from_secs(40 * 86_400));
    propose(&test, &mail()).await;
    let export = |arguments: &[&str]| -> Vec<Value> {
        let ran = place.run(&[&["audit", "export", "--json"], arguments].concat()).assert_status(0);
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (all, day) = (export(&[]), month_later.format("%Y-%m-%d").to_string());
    assert_eq!(all.len(), 2);
    assert!(all[0]["at"].as_str() < all[1]["at"].as_str() && all[0]["what"] == "action.proposed", "{all:?}");
    assert_eq!((export(&["--from", &day]), export(&["--to", &day])), (all[1..].to_vec(), all[..1].to_vec()));
    let told = place.run(&["audit", "export"]).assert_status(0).stdout;
    assert!(told.contains("anonymous  action.proposed") && !told.contains("canary"), "{told}");
    place.run(&["audit", "export", "--from", "yesterday"]).assert_status(2);
    // What was proposed is not copied: put back, it could be confirmed a second time.
    let made = test.app.backups.create(&|_| ()).await.unwrap();
    let copied = json!(made.files).to_string();
    assert!(copied.contains("audit") && !copied.contains("actions"), "{copied}");
    propose(&test, &mail()).await;
    test.app.backups.restore(&made, true, &|_| ()).await.unwrap();
    assert_eq!(export(&[]).len(), 3, "a restore takes nothing out of the audit");
}
