//! The issuer's keys: they change, disappear, cannot be had, are asked for by everybody at once; and time goes on.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::join_all;
use knowledge_worker::access::jwks;
use serde_json::{Value, json};

use super::{Lab, assert_refused};
use crate::fake_entra::{DAY, Draft, OTHER_TENANT, Says, SigningKey, TENANT};
use crate::support::process::eventually;

/// The shortest time between two fetches, in seconds.
const COOL_DOWN: u64 = 60;

impl Lab {
    /// Asks with a good token that a key has signed now, as far as the key goes.
    async fn ask_signed(&self, key: &SigningKey) -> StatusCode {
        self.ask(&Draft::v2(&self.entra, self.now()).header("kid", key.id.as_str()).signed(key)).await.status
    }

    fn fetches(&self) -> usize {
        self.entra.asked().len()
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_after_a_day() {
    let lab = Lab::new().await;
    assert_eq!(lab.fetches(), 0, "nobody is asked before the first token");
    for _ in 0..20 {
        assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    }
    assert_eq!(lab.fetches(), 1);
    lab.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!((lab.ask_signed(&lab.entra.key).await, lab.fetches()), (StatusCode::OK, 1));
    lab.clock.advance(Duration::from_secs(1));
    assert_eq!((lab.ask_signed(&lab.entra.key).await, lab.fetches()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn many_who_come_at_once_at_a_cold_start_ask_once() {
    let lab = Lab::new().await;
    let answers = join_all((0..50).map(|_| lab.ask_signed(&lab.entra.key))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    assert_eq!(lab.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_works_after_one_more_fetch_and_a_removed_one_is_gone_with_it() {
    let lab = Lab::new().await;
    let (old, new) = (lab.entra.key.clone(), SigningKey::new("key-2"));
    assert_eq!(lab.ask_signed(&old).await, StatusCode::OK);
    lab.entra.publish(&[&old, &new]);
    lab.clock.advance(Duration::from_secs(COOL_DOWN));
    assert_eq!((lab.ask_signed(&new).await, lab.fetches()), (StatusCode::OK, 2));
    assert_eq!((lab.ask_signed(&old).await, lab.fetches()), (StatusCode::OK, 2), "both while the set has both");
    lab.entra.publish(&[&new]);
    // Nothing tells of a removal, but no later than after a day it is known.
    lab.clock.advance(DAY);
    assert_eq!(lab.ask_signed(&old).await, StatusCode::UNAUTHORIZED);
    assert_eq!((lab.ask_signed(&new).await, lab.fetches()), (StatusCode::OK, 3));
}

#[tokio::test]
async fn input_16_a_flood_of_unknown_keys_asks_once_in_a_cool_down_and_holds_up_nobody() {
    let lab = Lab::new().await;
    assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    let draft = Draft::v2(&lab.entra, lab.now());
    for number in 0..1_000 {
        // The signature does not matter, because there is no key to check it with.
        let token = format!("{}.AAAA", draft.clone().header("kid", format!("unknown-{number}")).message());
        let answer = lab.ask(&token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(lab.fetches(), 1, "the first fetch was a moment ago");
    for round in 0..5 {
        lab.clock.advance(Duration::from_secs(COOL_DOWN));
        let token = Draft::v2(&lab.entra, lab.now()).header("kid", "unknown").signed(&lab.entra.key);
        let answers = join_all((0..100).map(|_| lab.ask(&token))).await;
        answers.iter().for_each(|answer| assert_refused(answer, "invalid-token", "unknown key"));
        assert_eq!(lab.fetches(), 2 + round);
        assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn tokens_of_tenants_that_nobody_named_fetch_nothing() {
    let lab = Lab::new().await;
    let draft = Draft::v2(&lab.entra, lab.now()).claim("tid", "0c9e1a77-2d7a-4f0b-8f5e-6a1b2c3d4e5f");
    assert_refused(&lab.ask(&draft.signed(&lab.entra.key)).await, "invalid-token", "another tenant");
    assert_eq!(lab.fetches(), 0);
}

#[tokio::test]
async fn an_outage_of_a_day_refuses_nobody_and_an_endless_one_everybody() {
    let lab = Lab::new().await;
    let (key, stranger) = (lab.entra.key.clone(), SigningKey::new("stranger"));
    assert_eq!(lab.ask_signed(&key).await, StatusCode::OK);
    for says in [Says::Status(500), Says::Status(404), Says::Elsewhere, Says::Flood, Says::Keys(vec![])] {
        lab.entra.set(says);
        for _hour in 0..10 {
            lab.clock.advance(Duration::from_secs(3_600));
            assert_eq!(lab.ask_signed(&key).await, StatusCode::OK);
            assert_eq!(lab.ask_signed(&stranger).await, StatusCode::UNAUTHORIZED);
        }
    }
    assert!(lab.fetches() <= 1 + 2 * 50, "{} fetches", lab.fetches());
    assert!(!lab.entra.asked().contains(&"/elsewhere".to_owned()), "redirects are not followed");
    lab.clock.advance(6 * DAY);
    let token = Draft::v2(&lab.entra, lab.now()).signed(&key);
    lab.ask(&token).await.assert_problem("auth-unavailable");
    lab.entra.publish(&[&key]);
    lab.clock.advance(Duration::from_secs(5));
    assert_eq!(lab.ask_signed(&key).await, StatusCode::OK);
}

#[tokio::test]
async fn keys_that_are_a_week_old_open_nothing() {
    let lab = Lab::new().await;
    let key = lab.entra.key.clone();
    assert_eq!(lab.ask_signed(&key).await, StatusCode::OK);
    lab.entra.set(Says::Status(500));
    let moment = Duration::from_secs(30);
    lab.clock.advance(7 * DAY - moment);
    assert_eq!(lab.ask_signed(&key).await, StatusCode::OK);
    lab.clock.advance(moment);
    let token = Draft::v2(&lab.entra, lab.now()).signed(&key);
    lab.ask(&token).await.assert_problem("auth-unavailable");
}

#[tokio::test]
async fn a_set_of_keys_has_256_kibibytes_at_most() {
    let most = 256 << 10;
    for (bytes, status) in [(most, StatusCode::OK), (most + 1, StatusCode::SERVICE_UNAVAILABLE)] {
        let lab = Lab::new().await;
        let with = |padding: &str| {
            let mut key = lab.entra.key.jwk();
            key["x5c"] = json!([padding]);
            key
        };
        let frame = json!({"keys": [with("")]}).to_string().len();
        lab.entra.set(Says::Keys(vec![with(&"A".repeat(bytes - frame))]));
        assert_eq!(lab.ask_signed(&lab.entra.key).await, status, "{bytes}");
    }
}

#[tokio::test]
async fn input_21_without_keys_at_a_cold_start_everybody_is_told_to_come_again() {
    for says in
        [Says::Status(500), Says::Elsewhere, Says::Flood, Says::Keys(vec![]), Says::Keys(vec![json!({"kty": "RSA"})])]
    {
        let lab = Lab::new().await;
        lab.entra.set(says);
        let token = Draft::v2(&lab.entra, lab.now()).signed(&lab.entra.key);
        for _ in 0..3 {
            let answer = lab.ask(&token).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            answer.assert_problem("auth-unavailable");
            assert_eq!(answer.headers["retry-after"], "5");
            assert!(!answer.headers.contains_key("www-authenticate"), "signing in again would not help");
        }
        assert_eq!(lab.fetches(), 1, "and the issuer is not asked by each of them");
        lab.entra.publish(&[&lab.entra.key]);
        lab.clock.advance(Duration::from_secs(5));
        assert_eq!(lab.ask(&token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_issuer_that_is_silent_holds_up_only_those_who_need_it() {
    let lab = Lab::new().await;
    assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    lab.entra.set(Says::Nothing);
    lab.clock.advance(DAY);
    // The first who sees that the set is old asks for the next one, and waits for five seconds at most.
    let first = lab.ask_signed(&lab.entra.key);
    let others = async {
        eventually("somebody asks for the keys", async || (lab.fetches() == 2).then_some(())).await;
        tokio::time::timeout(Duration::from_secs(2), lab.ask_signed(&lab.entra.key)).await
    };
    let (first, others) = tokio::join!(first, others);
    assert_eq!((first, others.expect("the others do not wait")), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_fetch_for_the_others() {
    let lab = Lab::new().await;
    lab.entra.set(Says::Nothing);
    let leaving = tokio::time::timeout(Duration::from_millis(300), lab.ask_signed(&lab.entra.key)).await;
    assert!(leaving.is_err(), "the issuer is silent");
    assert_eq!(lab.fetches(), 1);
    // It waits for the same fetch, which ends by itself, and does not begin another one.
    assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(lab.fetches(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_new_keys_out() {
    let lab = Lab::new().await;
    assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    let new = SigningKey::new("key-2");
    lab.entra.publish(&[&new]);
    lab.clock.set_back(Duration::from_secs(COOL_DOWN - 1));
    assert_eq!((lab.ask_signed(&new).await, lab.fetches()), (StatusCode::UNAUTHORIZED, 1), "clocks tremble");
    lab.clock.set_back(Duration::from_secs(7_200));
    assert_eq!((lab.ask_signed(&new).await, lab.fetches()), (StatusCode::OK, 2));
}

#[test]
fn only_keys_that_sign_tokens_are_taken_from_a_set() {
    let good = SigningKey::new("good").jwk();
    let count = |change: &dyn Fn(&mut Value)| {
        let mut key = good.clone();
        change(&mut key);
        jwks::read(json!({"keys": [key]}).to_string().as_bytes()).len()
    };
    let set = |name: &'static str, value: Value| move |key: &mut Value| key[name] = value.clone();
    assert_eq!(count(&|_| ()), 1);
    assert_eq!(count(&set("alg", json!("RS256"))), 1);
    assert_eq!(count(&set("use", Value::Null)), 1, "some issuers do not say");
    assert_eq!(count(&set("key_ops", json!(["verify"]))), 1);
    assert_eq!(count(&set("x5c", json!(["AAAA"]))), 1);
    let short = "u".repeat(171);
    let refused: [(&'static str, Value); 18] = [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("alg", json!("RS512")),
        ("alg", json!("PS256")),
        ("alg", json!("none")),
        ("kty", json!("EC")),
        ("kty", json!("oct")),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("n", json!("")),
        ("n", json!(short)),
        ("n", json!("!!")),
        ("n", json!(format!("{}=", good["n"].as_str().unwrap()))),
        ("e", json!("AQ")),
        ("e", json!("Aw")),
        ("e", json!("AQAA")),
        ("e", Value::Null),
    ];
    for (name, value) in refused {
        assert_eq!(count(&set(name, value.clone())), 0, "{name} {value}");
    }
    for body in ["", "x", "[]", "{}", r#"{"keys": 1}"#, r#"{"keys": [1, "x", null, {}]}"#] {
        assert!(jwks::read(body.as_bytes()).is_empty(), "{body}");
    }
    let twice = json!({"keys": [good, SigningKey::new("good").jwk(), {"kty": "RSA"}]});
    assert_eq!(jwks::read(twice.to_string().as_bytes()).len(), 1);
}

#[tokio::test]
async fn a_key_of_another_tenant_signs_nothing_here() {
    let lab = Lab::new().await;
    let key = |issuer: String| {
        let mut key = lab.entra.key.jwk();
        key["issuer"] = json!(issuer);
        key
    };
    let host = "https://login.microsoftonline.com";
    let issuers = [
        (format!("{host}/{{tenantid}}/v2.0"), StatusCode::OK),
        (format!("{host}/{}/v2.0", TENANT), StatusCode::OK),
        (format!("{host}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"), StatusCode::UNAUTHORIZED),
    ];
    for (issuer, expected) in issuers {
        lab.entra.set(Says::Keys(vec![key(issuer.clone())]));
        lab.clock.advance(DAY);
        assert_eq!(lab.ask_signed(&lab.entra.key).await, expected, "{issuer}");
    }
}

#[tokio::test]
async fn issuers_of_two_tenants_have_keys_of_their_own() {
    let other = OTHER_TENANT;
    let lab =
        Lab::with(&[("ENTRA_TENANT_ID", "7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11, 0c9e1a77-2d7a-4f0b-8f5e-6a1b2c3d4e5f")])
            .await;
    assert_eq!(lab.ask_signed(&lab.entra.key).await, StatusCode::OK);
    let issuer = format!("{}/{other}/v2.0", lab.entra.url());
    let foreign = Draft::v2(&lab.entra, lab.now()).claim("tid", other).claim("iss", issuer);
    // The issuer knows no keys of that tenant, and those of the first do not count for it.
    let answer = lab.ask(&foreign.signed(&lab.entra.key)).await;
    answer.assert_problem("auth-unavailable");
    assert_eq!(lab.entra.asked().last().unwrap(), &format!("/{other}/discovery/v2.0/keys"));
}
