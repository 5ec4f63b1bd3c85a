//! Microsoft's client of the AI Chat Protocol.

use serde_json::json;

use super::{ANSWER, node, served};

#[tokio::test(flavor = "multi_thread")]
async fn the_client_gets_answers_whole_and_streamed() {
    let (_place, server) = served(&[]).await;
    for path in ["/api/chat", "/chat"] {
        let told = node("ai_chat_protocol.mjs", &[&server.url(""), path]).await;
        assert_eq!((&told["whole"], &told["streamed"]), (&json!(ANSWER), &json!(ANSWER)), "{path}: {told}");
        assert_eq!((&told["role"], &told["sessionState"]), (&json!("assistant"), &json!({"tab": 7})));
        assert_eq!(told["first"], json!(["assistant", {"tab": 7}]));
        assert_eq!((&told["citations"], &told["last"]), (&json!(["harbour.md"]), &json!(["harbour.md"])));
        for refused in ["refused", "refused_streamed"] {
            assert!(told[refused].as_str().is_some_and(|sentence| sentence.contains("empty")), "{refused}: {told}");
        }
    }
}
