//! Triggers called from outside: under every name, route, method and disguise, nothing is done.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use knowledge_worker::functions::{self, FUNCTIONS, Run};
use tower::ServiceExt;

use crate::hostile::Besieged;

const BLOB: &str = r#"{"Data": {"blob": ""}, "Metadata": {"name": "\"harbour/new.md\""}}"#;

#[tokio::test]
async fn bad_input_09_triggers_cannot_be_called_from_outside() {
    let besieged = Besieged::with(&[]).await;
    besieged.test.write("harbour/new.md", "The mole is 300 metres long.");
    let router = functions::public_router(Arc::clone(&besieged.test.app))
        .layer(axum::middleware::from_fn(knowledge_worker::host::server::observe));
    let triggers = FUNCTIONS.iter().filter(|function| matches!(function.run, Run::Trigger(_)));
    let mut tried = 0;
    for name in triggers.map(|function| function.name).chain(["IngestDocument", "ReindexTimer"]) {
        let paths = [
            format!("/{name}"),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}?code=x"),
            format!("/{name};a=b"),
            format!("/{}", name.to_uppercase()),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/./{name}"),
            format!("/api/{name}"),
            format!("/api/../{name}"),
            format!("/api/%2e%2e/{name}"),
            format!("/admin/functions/{name}"),
            format!("/runtime/webhooks/{name}"),
            format!("/.well-known/{name}"),
        ];
        for path in &paths {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET, Method::OPTIONS] {
                let request = Request::builder()
                    .method(&method)
                    .uri(path)
                    .header("content-type", "application/json")
                    .header("x-azure-functions-invocationid", "0d4f7a8e-6c1b-4f0e-9d3a-2b1c0d9e8f7a")
                    .header("x-ms-client-principal", "e30=")
                    .header("x-forwarded-for", "127.0.0.1")
                    .header("x-original-url", format!("/{name}"))
                    .header("x-rewrite-url", format!("/{name}"))
                    .header("x-http-method-override", "POST")
                    .header("user-agent", "AzureFunctionsHost/4.0");
                let answer = router.clone().oneshot(request.body(Body::from(BLOB)).unwrap()).await.unwrap();
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                // What a browser asks before it calls is answered for every address alike, and permits nothing.
                let is_preflight = method == Method::OPTIONS && status == 200 && body.is_empty();
                assert!(is_preflight || [404, 405].contains(&status), "{method} {path}: {status} {body:?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 7 * 14 * 6);
    assert!(besieged.test.row("harbour/new.md").await.is_none(), "nobody has looked at it");
    besieged.stands().await;
}
