//! Rights from the token to the last byte, on both indexes: Alice uploads for her group, and nothing that Bob can call tells him
//! anything of it: every answer he gets is the one that he got before there was anything to tell.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use knowledge_worker::clock::Clock;
use knowledge_worker::document::DocumentId;
use serde_json::{Value, json};

use super::SECRET;
use crate::fake_entra::Draft;
use crate::fake_search::{self, FakeSearch};
use crate::support::app::{Answer, TestApp, document_name};

/// A word that stands in Alice's document alone.
const CANARY: &str = "xylophone";
const NAME: &str = "orchestra-plan.txt";
const QUESTION: &str = "Which instrument will the orchestra buy in May?";
const BOUNDARY: &str = "----a-boundary";

/// The product with a shared key, and people who have tokens.
struct Stage {
    test: TestApp,
    _service: Option<FakeSearch>,
}

impl Stage {
    async fn on_segments() -> Self {
        Self::with(&[], None)
    }

    async fn on_a_search_service() -> Self {
        let service = FakeSearch::start().await;
        let url = service.url();
        let settings = [("AZURE_SEARCH_ENDPOINT", url.as_str()), ("AZURE_SEARCH_API_KEY", fake_search::KEY)];
        Self::with(&settings, Some(service))
    }

    fn with(more: &[(&str, &str)], service: Option<FakeSearch>) -> Self {
        let own = [
            ("AUTH", "shared-key"),
            ("SECRET_KEY", SECRET),
            ("ENVIRONMENT", "prod"),
            ("INDEX_REFRESH_SECONDS", "0"),
            ("MAX_DOCUMENTS_PER_USER", "3"),
            ("FOLDER_RIGHTS", "open/=everyone"),
        ];
        Self { test: TestApp::with(&[&own[..], more].concat()), _service: service }
    }

    async fn send(&self, who: &Who, request: Request<Body>) -> Answer {
        let (mut head, body) = request.into_parts();
        let now = Clock::system().now().timestamp();
        let draft = Draft::shared(now).claim("sub", who.name).claim("groups", json!(who.groups));
        let token = draft.claim("roles", json!([format!("KnowledgeWorker.{}", who.role)])).sealed(SECRET.as_bytes());
        head.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        self.test.send(Request::from_parts(head, body)).await
    }

    async fn get(&self, who: &Who, path: &str) -> Answer {
        self.send(who, Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn call(&self, who: &Who, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.send(who, request.body(body.to_string().into()).unwrap()).await
    }

    /// Uploads a file with further parts before it.
    async fn upload(&self, who: &Who, name: &str, text: &str, parts: &[(&str, &str)]) -> Answer {
        let mut body = String::new();
        for (part, value) in parts {
            body += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{part}\"\r\n\r\n{value}\r\n");
        }
        let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        body += &format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n");
        let request =
            Request::post("/api/upload").header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        let answer = self.send(who, request.body(body.into()).unwrap()).await;
        if answer.status == StatusCode::ACCEPTED {
            self.test.sync(name).await;
        }
        answer
    }

    /// The names that a search finds.
    async fn found(&self, who: &Who) -> Vec<String> {
        let found = self.call(who, "POST", "/api/search", &json!({"query": QUESTION})).await.json();
        found["results"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// Somebody with a token.
struct Who {
    name: &'static str,
    groups: &'static [&'static str],
    role: &'static str,
}

const ALICE: Who = Who { name: "alice", groups: &["music"], role: "Contributor" };
const BOB: Who = Who { name: "bob", groups: &["kitchen"], role: "Contributor" };
const CAROL: Who = Who { name: "carol", groups: &["music", "kitchen"], role: "Contributor" };
const OPERATOR: Who = Who { name: "olga", groups: &["music"], role: "Operator" };

fn id() -> String {
    DocumentId::of(&document_name(NAME)).to_string()
}

/// Everything that somebody can call to learn of documents, and what comes of it without what is different each time.
async fn everything(stage: &Stage, who: &Who) -> Vec<(String, u16, String)> {
    let mcp = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let (id, uri) = (id(), format!("document://{}", id()));
    let chat = json!({"messages": [{"role": "user", "content": QUESTION}]});
    let openai = json!({"model": "knowledge-worker", "messages": [{"role": "user", "content": QUESTION}]});
    let filtered = json!({"query": QUESTION, "filter": {"documents": [NAME]}});
    let calls = [
        ("POST", "/api/search".to_owned(), json!({"query": QUESTION, "top_results": 50})),
        ("POST", "/api/search".to_owned(), json!({"query": CANARY})),
        ("POST", "/api/search".to_owned(), filtered),
        ("POST", "/api/chat".to_owned(), json!({"message": QUESTION})),
        ("POST", "/api/chat".to_owned(), chat.clone()),
        ("POST", "/api/chat/stream".to_owned(), chat.clone()),
        ("POST", "/chat".to_owned(), chat.clone()),
        ("POST", "/chat/stream".to_owned(), chat),
        ("POST", "/v1/chat/completions".to_owned(), openai),
        (
            "POST",
            "/mcp".to_owned(),
            mcp("tools/call", json!({"name": "search_documents", "arguments": {"query": QUESTION}})),
        ),
        ("POST", "/mcp".to_owned(), mcp("tools/call", json!({"name": "search", "arguments": {"query": CANARY}}))),
        ("POST", "/mcp".to_owned(), mcp("tools/call", json!({"name": "fetch", "arguments": {"id": id}}))),
        ("POST", "/mcp".to_owned(), mcp("resources/list", json!({}))),
        ("POST", "/mcp".to_owned(), mcp("resources/read", json!({"uri": uri}))),
        ("GET", "/api/documents?limit=200".to_owned(), Value::Null),
        ("GET", "/api/documents/stats".to_owned(), Value::Null),
        ("GET", "/api/status".to_owned(), Value::Null),
        ("GET", format!("/api/documents/{id}"), Value::Null),
        ("GET", format!("/api/documents/{id}/content"), Value::Null),
        ("GET", format!("/api/documents/{id}/pages/1"), Value::Null),
        ("GET", format!("/api/documents/{id}/passages/0"), Value::Null),
        ("POST", format!("/api/documents/{id}/retry"), Value::Null),
        ("DELETE", format!("/api/documents/{id}"), Value::Null),
        ("GET", "/api/conversations".to_owned(), Value::Null),
        ("GET", "/api/conversations/alices-own".to_owned(), Value::Null),
        ("GET", "/api/conversations/alices-own/export".to_owned(), Value::Null),
        ("PATCH", "/api/conversations/alices-own".to_owned(), json!({"title": "mine"})),
        ("DELETE", "/api/conversations/alices-own".to_owned(), Value::Null),
        ("POST", "/api/feedback".to_owned(), json!({"conversation_id": "alices-own", "turn": 1, "rating": "up"})),
        ("GET", "/api/maintenance/report".to_owned(), Value::Null),
    ];
    let mut told = Vec::new();
    for (method, path, body) in calls {
        let answer = stage.call(who, method, &path, &body).await;
        let lines: Vec<String> = answer.body.lines().map(unchanging).collect();
        told.push((format!("{method} {path} {body}"), answer.status.as_u16(), lines.join("\n")));
    }
    told
}

/// An answer without moments and ids that are made for it, and without the generation of the index, which tells everybody that
/// something has changed, and not what.
fn unchanging(line: &str) -> String {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for name in ["requestId", "instance", "time", "timestamp", "created", "id", "generation"] {
                    members.remove(name);
                }
                members.values_mut().for_each(clean);
            }
            Value::Array(values) => values.iter_mut().for_each(clean),
            _ => {}
        }
    }
    match serde_json::from_str(line) {
        Ok(mut value) => {
            clean(&mut value);
            value.to_string()
        }
        Err(_) => line.to_owned(),
    }
}

async fn nothing_tells_bob(stage: Stage) {
    stage.test.ingest("open/menu.txt", "The kitchen cooks soup.").await;
    let before = everything(&stage, &BOB).await;
    let text = format!("The orchestra will buy a {CANARY} in May. The instrument costs 900 crowns.");
    let uploaded = stage.upload(&ALICE, NAME, &text, &[("allowed_groups", "music")]).await;
    assert_eq!(uploaded.status, StatusCode::ACCEPTED, "{uploaded:?}");
    let own = json!({"message": QUESTION, "conversation_id": "alices-own"});
    for who in [&ALICE, &CAROL] {
        let answer = stage.call(who, "POST", "/api/chat", &own).await;
        assert!(answer.body.contains(CANARY), "{} may read it: {answer:?}", who.name);
        assert_eq!(stage.found(who).await, [NAME]);
    }
    let after = everything(&stage, &BOB).await;
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "what Bob is told has changed");
    }
    assert!(stage.get(&ALICE, "/api/conversations/alices-own").await.body.contains(CANARY));
    assert!(stage.test.app.documents.head(NAME).await.unwrap().is_some(), "and nothing of it is gone");
}

#[tokio::test]
async fn nothing_tells_of_what_one_may_not_read_on_segments() {
    nothing_tells_bob(Stage::on_segments().await).await;
}

#[tokio::test]
async fn nothing_tells_of_what_one_may_not_read_at_a_search_service() {
    nothing_tells_bob(Stage::on_a_search_service().await).await;
}

async fn rights_that_change_act_at_once(stage: Stage) {
    let text = format!("The orchestra will buy a {CANARY} in May.");
    let share = async |groups: &str| {
        let uploaded = stage.upload(&ALICE, NAME, &text, &[("allowed_groups", groups), ("allowed_users", "")]).await;
        assert_eq!(uploaded.status, StatusCode::ACCEPTED, "{uploaded:?}");
    };
    let ask = json!({"message": QUESTION});
    let knows = async |who: &Who| stage.call(who, "POST", "/api/chat", &ask).await.body.contains(CANARY);
    share("music").await;
    // Asked twice, so that the second answer comes from what is kept.
    for _ in 0..2 {
        assert!(knows(&CAROL).await && !knows(&BOB).await);
    }
    let keyed = |who: &'static Who| {
        let request = Request::post("/api/chat").header("content-type", "application/json");
        let request = request.header("idempotency-key", "k-1").body(Body::from(ask.to_string())).unwrap();
        stage.send(who, request)
    };
    assert!(keyed(&CAROL).await.body.contains(CANARY));
    share("").await;
    assert!(!knows(&CAROL).await && !knows(&BOB).await && knows(&ALICE).await);
    assert!(
        !keyed(&CAROL).await.body.contains(CANARY),
        "an answer that is given again is for those who may still read it"
    );
    assert!(stage.found(&CAROL).await.is_empty());
    share("everyone").await;
    assert!(knows(&BOB).await && knows(&CAROL).await);
    let deleted = stage.call(&ALICE, "DELETE", &format!("/api/documents/{}", id()), &Value::Null).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    for who in [&ALICE, &BOB, &CAROL] {
        assert!(!knows(who).await && !keyed(who).await.body.contains(CANARY), "{}", who.name);
    }
}

#[tokio::test]
async fn rights_that_change_act_on_the_next_request_on_segments() {
    rights_that_change_act_at_once(Stage::on_segments().await).await;
}

#[tokio::test]
async fn rights_that_change_act_on_the_next_request_at_a_search_service() {
    rights_that_change_act_at_once(Stage::on_a_search_service().await).await;
}

#[tokio::test]
async fn only_ones_own_documents_are_ones_to_change() {
    let stage = Stage::on_segments().await;
    let path = format!("/api/documents/{}", id());
    stage.upload(&ALICE, NAME, "%PDF-1.7 and nothing else", &[("allowed_groups", "music")]).await;
    let reader = Who { role: "Reader", ..ALICE };
    let change = async |who: &Who, method: &str, end: &str| {
        let answer = stage.call(who, method, &format!("{path}{end}"), &Value::Null).await;
        answer.json()["code"].as_str().unwrap_or("done").to_owned()
    };
    for (method, end) in [("DELETE", ""), ("POST", "/retry")] {
        assert_eq!(change(&CAROL, method, end).await, "insufficient-scope", "she may read it and did not bring it");
        assert_eq!(change(&BOB, method, end).await, "not-found", "he may not know of it");
        assert_eq!(change(&reader, method, end).await, "insufficient-scope", "who reads brings nothing back either");
    }
    let again = stage.upload(&CAROL, NAME, "The orchestra will buy a drum.", &[]).await;
    again.assert_problem("insufficient-scope");
    stage.upload(&BOB, NAME, "The orchestra will buy a drum.", &[]).await.assert_problem("invalid-name");
    assert_eq!(stage.upload(&OPERATOR, NAME, "The orchestra buys a drum.", &[]).await.status, StatusCode::ACCEPTED);
    let row = stage.test.row(NAME).await.unwrap();
    assert_eq!(
        (row.owner.as_deref(), row.readers),
        (Some("home/alice"), vec!["group:home/music".into(), "user:home/alice".into()])
    );
    assert_eq!(change(&ALICE, "DELETE", "").await, "done");
}

#[tokio::test]
async fn whom_one_shares_with_is_whom_one_may_share_with() {
    let stage = Stage::on_segments().await;
    let share = async |who: &Who, name: &str, parts: &[(&str, &str)]| {
        let answer = stage.upload(who, name, "The orchestra will buy a drum.", parts).await;
        match answer.status {
            StatusCode::ACCEPTED => stage.test.row(name).await.unwrap().readers.join(" "),
            _ => answer.json()["code"].as_str().unwrap().to_owned(),
        }
    };
    assert_eq!(share(&ALICE, "1.txt", &[]).await, "user:home/alice", "in production nobody else");
    let parts = [("allowed_groups", "music, home/music"), ("allowed_users", "bob,t1/eve")];
    assert_eq!(share(&ALICE, "2.txt", &parts).await, "group:home/music user:home/alice user:home/bob user:t1/eve");
    assert_eq!(share(&ALICE, "3.txt", &[("allowed_groups", "everyone")]).await, "everyone");
    assert_eq!(share(&ALICE, "4.txt", &[]).await, "quota-exceeded", "each has a quota of their own");
    assert_eq!(share(&BOB, "5.txt", &[("allowed_groups", "")]).await, "user:home/bob");
    for parts in [
        [("allowed_groups", "music")],
        [("allowed_users", "a b")],
        [("allowed_users", "o'hara")],
        [("allowed_users", "/x")],
    ] {
        assert_eq!(share(&BOB, "6.txt", &parts).await, "invalid-request", "{parts:?}");
    }
    let operator = Who { groups: &[], ..OPERATOR };
    assert_eq!(share(&operator, "7.txt", &[("allowed_groups", "music")]).await, "group:home/music user:home/olga");
}
