//! The product behind an issuer that somebody else wrote: its discovery document, its tokens of several kinds, its rotation.

use std::time::Duration;

use axum::http::StatusCode;
use knowledge_worker::clock::Clock;
use serde_json::{Value, json};

use super::{assert_refused, bearer};
use crate::fake_entra::{ALICE, AUDIENCE, CLIENT, OTHER_TENANT};
use crate::support::app::TestApp;

/// The issuer that `scripts/test` started.
struct Issuer {
    url: String,
    tenant: String,
    client: reqwest::Client,
}

#[expect(clippy::disallowed_methods, reason = "the script that runs the tests says where its servers are")]
fn named(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run ./scripts/test, which starts the issuer"))
}

impl Issuer {
    fn started() -> Self {
        Self { url: named("TEST_ISSUER"), tenant: named("TEST_ISSUER_TENANT"), client: reqwest::Client::new() }
    }

    /// What it gives somebody who signs in, with some claims.
    async fn sign_in(&self, more: Value) -> Value {
        let mut claims = json!({
            "ver": "2.0", "aud": AUDIENCE, "tid": self.tenant, "oid": ALICE, "sub": "pairwise", "azp": CLIENT,
            "scp": "access_as_user", "groups": [],
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let form = [("grant_type", "password"), ("username", "alice"), ("claims", &claims.to_string())];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(format!("{}/{}/oauth2/v2.0/token", self.url, self.tenant));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn token(&self, more: Value) -> String {
        self.sign_in(more).await["access_token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn tokens_of_an_issuer_let_in_whom_they_are_about() {
    let issuer = Issuer::started();
    // The clock moves by hand, because a new key may only be asked for a minute after the last.
    let clock = Clock::manual(Clock::system().now());
    let settings = [
        ("AUTH", "entra"),
        ("ENTRA_AUTHORITY", issuer.url.as_str()),
        ("ENTRA_TENANT_ID", &issuer.tenant),
        ("ENTRA_AUDIENCE", AUDIENCE),
        ("FOLDER_RIGHTS", "staff/=group:5b9c3f10-0000-4000-8000-00000000abcd"),
    ];
    let test = TestApp::at(&clock, &settings);
    test.ingest("staff/plan.txt", "The lamp will be red.").await;
    let ask = async |token: &str| test.send(bearer("/api/documents", token)).await;

    let discovered = format!("{}/{}/v2.0/.well-known/openid-configuration", issuer.url, issuer.tenant);
    let document: Value = issuer.client.get(discovered).send().await.unwrap().json().await.unwrap();
    let keys = format!("{}/{}/discovery/v2.0/keys", issuer.url, issuer.tenant);
    assert_eq!(document["jwks_uri"], keys, "the keys are where we look for them");

    let seen = ask(&issuer.token(json!({})).await).await.json();
    assert_eq!(seen["documents"], json!([]));
    let staff = json!({"groups": ["5b9c3f10-0000-4000-8000-00000000abcd"]});
    assert_eq!(ask(&issuer.token(staff).await).await.json()["documents"][0]["name"], "staff/plan.txt");

    for (what, claims) in [
        ("another audience", json!({"aud": CLIENT})),
        ("another tenant", json!({"tid": OTHER_TENANT})),
        ("the issuer's own name", json!({"iss": issuer.url})),
        ("expired", json!({"exp": clock.now().timestamp() - 61})),
        ("no user", json!({"oid": null})),
    ] {
        assert_refused(&ask(&issuer.token(claims).await).await, "invalid-token", what);
    }
    let signed_in = issuer.sign_in(json!({"nonce": "n"})).await;
    let id_token = signed_in["id_token"].as_str().expect("who signs in gets one");
    assert_refused(&ask(id_token).await, "invalid-token", "the ID token");
    let overage = json!({"_claim_names": {"groups": "src1"}});
    assert_refused(&ask(&issuer.token(overage).await).await, "groups-overage", "overage");
    let app = json!({"scp": null, "roles": ["KnowledgeWorker.Operator"]});
    assert_eq!(ask(&issuer.token(app).await).await.status, StatusCode::OK);

    let rotated = issuer.client.post(format!("{}/rotate", issuer.url)).send().await.unwrap();
    assert_eq!(rotated.status().as_u16(), 200);
    clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&issuer.token(json!({})).await).await.status, StatusCode::OK, "the new key is fetched");
}
