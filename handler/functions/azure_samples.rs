//! `POST /chat` and `POST /chat/stream`: what `/api/chat` does, at the addresses that frontends of Azure-Samples call and
//! that the AI Chat Protocol recommends; `GET /config` and `GET /auth_setup`, which such a frontend reads before it shows
//! anything. The latter two come through the catch-all of `web`, and say what is in this file and how people sign in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::routes::Routes;
use super::{chat, chat_stream};
use crate::access::Need;
use crate::app::App;

/// The function's routes.
pub fn routes() -> Routes {
    Routes::new()
        .post("/chat", Need::Ask, chat::chat)
        .post("/chat/stream", Need::Ask, chat_stream::stream)
        .get("/config", Need::Open, config)
        .get("/auth_setup", Need::Open, auth_setup)
}

/// Which settings a frontend shows: those that would change something, and none for parts that are not here.
async fn config() -> Json<Value> {
    let absent = [
        "showMultimodalOptions",
        "showSemanticRankerOption",
        "showQueryRewritingOption",
        "showReasoningEffortOption",
        "showVectorOption",
        "showUserUpload",
        "showLanguagePicker",
        "showSpeechInput",
        "showSpeechOutputBrowser",
        "showSpeechOutputAzure",
        "showChatHistoryBrowser",
        "showChatHistoryCosmos",
        "showAgenticRetrievalOption",
        "webSourceEnabled",
        "sharepointSourceEnabled",
        "ragSearchImageEmbeddings",
        "ragSendImageSources",
    ];
    let mut config: Value = absent.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
    for name in ["streamingEnabled", "ragSearchTextEmbeddings", "ragSendTextSources"] {
        config[name] = json!(true);
    }
    config["defaultReasoningEffort"] = json!("");
    config["defaultRetrievalReasoningEffort"] = json!("");
    Json(config)
}

/// Whether such a frontend signs its people in, and how.
async fn auth_setup(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.access.frontend_setup())
}
