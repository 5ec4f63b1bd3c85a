//! The official SDKs of the Model Context Protocol, in both eras.

use serde_json::{Value, json};

use super::{node, python, served};

/// The text of the one document, and what a search for it says.
const TEXT: &str = "Harbour\n\nThe basin of Tarnholm is 14 metres deep at low water.";

/// Asserts what every client understood, whatever its language and era.
fn assert_used(told: &Value, is_stateless: bool) {
    assert_eq!(told["tools"], json!(["search_documents", "summarize_document", "search", "fetch"]), "{told}");
    assert_eq!((&told["found"], &told["text"]), (&json!("harbour.md"), &json!(format!("[harbour.md]\n{TEXT}"))));
    let whole = json!(format!("[harbour.md]\n\n{TEXT}"));
    assert_eq!((&told["fetched"], &told["read"]), (&whole, &json!([whole])));
    assert_eq!(told["wrong"], json!([true, "`top_results` must be from 1 to 50"]));
    assert_eq!(told["no_such_tool"], -32_602);
    assert_eq!(told["no_such_resource"], if is_stateless { -32_602 } else { -32_002 });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_python_uses_tools_and_resources_in_both_eras() {
    let (_place, server) = served(&[]).await;
    for (era, version) in [("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")] {
        let told = python("mcp_client.py", &[&server.url(""), era]).await;
        assert_used(&told, version == "2026-07-28");
        assert_eq!(told["version"], version, "{era}");
        // Pinned to a revision, it asks nobody who is there.
        let is_asked = era != "2026-07-28";
        assert_eq!(told["server"], if is_asked { json!("knowledge-worker") } else { Value::Null });
        assert_eq!((&told["schemas"], &told["same_in_text"]), (&json!(true), &json!(true)));
        assert_eq!(
            (&told["hit"], &told["resources"]),
            (&json!(["id", "title", "url"]), &json!([["harbour.md", true]]))
        );
        assert_eq!(told["templates"], json!(["document://{document_id}"]));
        assert_eq!(told["other_methods"], json!([405, 405]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_for_typescript_use_tools_and_resources_in_both_eras() {
    let (_place, server) = served(&[]).await;
    for (era, is_stateless) in [("auto", true), ("2026-07-28", true), ("legacy", false), ("before", false)] {
        let told = node("mcp_client.mjs", &[&server.url(""), era]).await;
        assert_used(&told, is_stateless);
        assert_eq!((&told["server"], &told["instructions"]), (&json!("knowledge-worker"), &json!(true)), "{era}");
        assert_eq!(told["resources"], json!(["harbour.md"]));
    }
}
