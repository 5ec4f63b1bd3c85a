//! `POST /chat` and `POST /chat/stream`: what `/api/chat` does, at the addresses that frontends of Azure-Samples call and
//! that the AI Chat Protocol recommends; `GET /config` and `GET /auth_setup`, which such a frontend reads before it shows
//! anything. The latter two come through the catch-all of `web` and say nothing that is not in this file.

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{chat, chat_stream};
use crate::app::App;

/// The function's routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/chat", post(chat::chat))
        .route("/chat/stream", post(chat_stream::stream))
        .route("/config", get(config))
        .route("/auth_setup", get(auth_setup))
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

/// That a frontend need not sign anybody in.
async fn auth_setup() -> Json<Value> {
    Json(json!({
        "useLogin": false,
        "requireAccessControl": false,
        "enableUnauthenticatedAccess": true,
        "msalConfig": {"auth": {"clientId": "", "authority": "", "redirectUri": "/redirect"}, "cache": {}},
        "loginRequest": {"scopes": []},
        "tokenRequest": {"scopes": []},
    }))
}
