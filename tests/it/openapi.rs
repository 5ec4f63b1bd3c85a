//! The OpenAPI document: it knows every route and no other, its references lead somewhere, its examples work, and the page made
//! of it asks nobody for anything.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use knowledge_worker::access::Need;
use knowledge_worker::document::DocumentId;
use knowledge_worker::error::ErrorKind;
use knowledge_worker::functions;
use serde_json::{Value, json};

use crate::actions::sinks::{Habit, HookSink};
use crate::support::app::{Answer, TestApp, document_name, get};

async fn document(test: &TestApp) -> Value {
    let answer = test.send(get("/api/openapi.json")).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    answer.json()
}

/// Every call of the document: method, path, description.
fn calls(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let calls = paths.flat_map(|(path, calls)| {
        let calls = calls.as_object().unwrap().iter();
        calls.map(|(method, call)| (method.to_uppercase().parse().unwrap(), path.clone(), call.clone()))
    });
    calls.collect()
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let document = document(&TestApp::new()).await;
    assert_eq!(document["openapi"], "3.1.0");
    let told: BTreeSet<String> = calls(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let routes = functions::http_routes();
    let there: BTreeSet<String> =
        routes.listed().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(told, there, "a route is described in handler/functions/described/");
    for route in routes.listed() {
        let call = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert_eq!(call["security"] == json!([]), route.need == Need::Open, "{} {}", route.method, route.path);
    }
    let ids: BTreeSet<String> = calls(&document).iter().map(|(_, _, call)| call["operationId"].to_string()).collect();
    assert_eq!(ids.len(), told.len(), "every call has a name of its own");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_problem_is_listed() {
    let document = document(&TestApp::new()).await;
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let place = reference.strip_prefix('#').expect("nothing lies elsewhere");
        assert!(document.pointer(place).is_some_and(Value::is_object), "{reference}");
    }
    let listed = document["x-problem-types"].as_array().unwrap();
    assert_eq!(listed.len(), ErrorKind::ALL.len());
    assert_eq!(
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap().len(),
        listed.len()
    );
    assert!(!document.to_string().contains("crate::"), "descriptions are for people");
}

/// An application in which everything that the examples speak of is there, and the ids that stand for `{id}`.
struct Stage {
    test: TestApp,
    _tasks: HookSink,
}

impl Stage {
    async fn set() -> Self {
        let tasks = HookSink::start(Habit::Take).await;
        let url = tasks.url("/");
        let settings = [
            ("ACTIONS", "create_task,generate_report,send_email"),
            ("ACTION_WEBHOOK_URL", url.as_str()),
            ("MAIL_ALLOWED_DOMAINS", "*"),
        ];
        let test = TestApp::with(&settings);
        test.ingest("ferry.md", "# Ferry\n\nThe ferry leaves at nine.\n").await;
        test.ingest("paper.pdf", std::fs::read(paper()).unwrap()).await;
        test.ingest("damaged.pdf", "%PDF-1.4 and no more").await;
        test.post("/api/chat", &json!({"message": "When does the ferry leave?", "conversation_id": "ferry-1"})).await;
        let deadline = std::time::Instant::now() + test.app.maintenance_time();
        test.app.ingest.reconcile(deadline, &test.app.records).await.unwrap();
        Self { test, _tasks: tasks }
    }

    async fn action(&self, confirmed: bool) -> String {
        let parameters = json!({"title": "Ferry", "documents": ["ferry.md"]});
        let proposal = json!({"action_type": "generate_report", "parameters": parameters});
        let id = self.test.post("/api/actions", &proposal).await.json()["id"].as_str().unwrap().to_owned();
        if confirmed {
            let confirm = Request::post(format!("/api/actions/{id}/confirm")).body(Body::empty()).unwrap();
            assert_eq!(self.test.send(confirm).await.json()["state"], "done");
        }
        id
    }

    /// A path with something that is there in place of its parameters.
    async fn real(&self, method: &Method, path: &str) -> String {
        let id = match path {
            _ if path.starts_with("/api/documents/{id}/pages") => {
                DocumentId::of(&document_name("paper.pdf")).as_str().to_owned()
            }
            _ if path.starts_with("/api/documents/{id}") && *method == Method::DELETE => {
                self.test.ingest("spare.md", "A spare one.").await;
                DocumentId::of(&document_name("spare.md")).as_str().to_owned()
            }
            "/api/documents/{id}/retry" => DocumentId::of(&document_name("damaged.pdf")).as_str().to_owned(),
            _ if path.starts_with("/api/documents/{id}") => {
                DocumentId::of(&document_name("ferry.md")).as_str().to_owned()
            }
            _ if path.starts_with("/api/conversations/{id}") && *method == Method::DELETE => {
                self.test.post("/api/chat", &json!({"message": "Who?", "conversation_id": "spare"})).await;
                "spare".to_owned()
            }
            _ if path.starts_with("/api/conversations/{id}") => "ferry-1".to_owned(),
            _ if path.starts_with("/api/reports/{id}") => self.action(true).await,
            _ if path.starts_with("/api/actions/{id}") => self.action(false).await,
            _ => "knowledge-worker".to_owned(),
        };
        let page = self.test.send(get("/")).await.body;
        let hash = page.split("/assets/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default().to_owned();
        let named =
            [("{id}", id.as_str()), ("{page}", "1"), ("{ordinal}", "0"), ("{hash}", &hash), ("{name}", "icon.svg")];
        named.iter().fold(path.to_owned(), |path, (parameter, value)| path.replace(parameter, value))
    }
}

fn paper() -> std::path::PathBuf {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/documents");
    let mut found = Vec::new();
    let mut folders = vec![samples];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.extend(path.extension().is_some_and(|kind| kind == "pdf").then_some(path)),
            }
        }
    }
    found.sort();
    found.into_iter().next().expect("there is a PDF among the samples")
}

fn request(method: &Method, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let Some((kind, content)) = body["content"].as_object().and_then(|content| content.iter().next()) else {
        return request.body(Body::empty()).unwrap();
    };
    let example = &content["example"];
    if kind != "multipart/form-data" {
        return request.header("content-type", kind).body(example.to_string().into()).unwrap();
    }
    let part = |(name, value): (&String, &Value)| {
        let file = if name == "file" { "; filename=\"example.txt\"" } else { "" };
        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{}\r\n", value.as_str().unwrap())
    };
    let form: String = example.as_object().unwrap().iter().map(part).collect();
    request.header("content-type", "multipart/form-data; boundary=b").body(format!("{form}--b--\r\n").into()).unwrap()
}

/// Asserts that the document tells of this answer: its status, and the media type of its body.
fn assert_told(method: &Method, path: &str, call: &Value, answer: &Answer) {
    let told = &call["responses"][answer.status.as_str()];
    assert!(told.is_object(), "{method} {path}: {} is not told of: {answer:?}", answer.status);
    let kind = answer.headers.get("content-type").map(|kind| kind.to_str().unwrap().split(';').next().unwrap());
    match kind.filter(|_| !answer.body.is_empty()) {
        Some(kind) => assert!(told["content"][kind].is_object(), "{method} {path}: {kind} is not told of: {told}"),
        None => assert!(told["content"].is_null(), "{method} {path}: {told}"),
    }
}

#[tokio::test]
async fn its_examples_work() {
    let stage = Stage::set().await;
    let document = document(&stage.test).await;
    let mut sent = 0;
    for (method, path, call) in calls(&document) {
        // The host's key may be in the query of any of them.
        let real = format!("{}?code=k3y", stage.real(&method, &path).await);
        let answer = stage.test.send(request(&method, &real, &call["requestBody"])).await;
        assert_told(&method, &path, &call, &answer);
        let is_fine = match path.as_str() {
            // Nothing here reaches the internet.
            "/api/url" => answer.status.is_server_error(),
            // Nobody signs in here.
            path if path.starts_with("/.well-known/") => answer.status == StatusCode::NOT_FOUND,
            _ => answer.status.is_success(),
        };
        assert!(is_fine, "{method} {real}: {answer:?}");
        sent += 1;
    }
    assert_eq!(sent, functions::http_routes().listed().len());
}

#[tokio::test]
async fn what_is_not_there_is_told_of_too() {
    let stage = Stage::set().await;
    let document = document(&stage.test).await;
    for (method, path, call) in calls(&document) {
        let nowhere = path.replace("{id}", "nowhere").replace("{page}", "1").replace("{ordinal}", "0");
        let nowhere = nowhere.replace("{hash}", "0").replace("{name}", "nothing");
        if nowhere == path {
            continue;
        }
        let answer = stage.test.send(request(&method, &nowhere, &call["requestBody"])).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {nowhere}: {answer:?}");
        assert_told(&method, &path, &call, &answer);
    }
}

#[tokio::test]
async fn the_page_of_it_has_everything_and_asks_nobody() {
    let test = TestApp::new();
    let page = test.send(get("/api/docs")).await;
    assert_eq!(
        (page.status, page.headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for part in ["<script", "src=", "http://", "@import", "url("] {
        assert!(!page.body.replace("https://…", "").contains(part), "{part}");
    }
    for (method, path, _) in calls(&document(&test).await) {
        assert!(page.body.contains(&format!("<b>{method}</b> <code>{path}</code>")), "{method} {path}");
    }
    for kind in ErrorKind::ALL {
        assert!(page.body.contains(&format!("<code>{}</code>", kind.row().code)), "{kind:?}");
    }
    let links = page.body.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for link in links {
        assert!(page.body.contains(&format!("id=\"{link}\"")), "{link}");
    }
}
