//! Questions with what begins a script, where somebody has forbidden them.

use axum::http::StatusCode;
use serde_json::json;

use crate::hostile::Besieged;

#[tokio::test]
async fn scripts_in_questions_are_refused_where_somebody_wants_it_so() {
    let strict = Besieged::with(&[("STRICT_INPUT", "on")]).await;
    let plain = Besieged::with(&[]).await;
    for words in ["<script>alert(1)</script>", "< SCRIPT src=x>", "javascript:alert(1)", "see data:text/html;base64,x"]
    {
        let question = format!("How deep is the basin of Tarnholm? {words}");
        let messages = json!([{"role": "user", "content": question}]);
        let bodies = [
            ("/api/chat", json!({"message": question})),
            ("/api/chat/stream", json!({"messages": messages})),
            ("/chat", json!({"messages": messages, "session_state": null})),
            ("/api/search", json!({"query": question})),
        ];
        for (path, body) in &bodies {
            let refused = strict.test.post(path, body).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {refused:?}");
            refused.assert_problem("invalid-request");
            assert!(!refused.body.contains("alert"), "{path} repeats what was sent: {refused:?}");
            assert_eq!(plain.test.post(path, body).await.status, StatusCode::OK, "{path}");
        }
        let openai = json!({"model": "knowledge-worker", "messages": messages});
        let refused = strict.test.post("/v1/chat/completions", &openai).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_request_error"))
        );
    }
    strict.stands().await;
}
