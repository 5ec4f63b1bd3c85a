//! Calls about what one has asked.

use serde_json::json;
use utoipa::ToSchema;

use super::{Call, call, count, text};
use crate::conversations::{Conversation, ConversationPage, StoredTurn};
use crate::error::ErrorKind as E;
use crate::functions::conversations::RenameRequest;
use crate::functions::feedback::FeedbackRequest;

/// A conversation with its turns, as it is given.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct WholeConversation {
    conversation: Conversation,
    turns: Vec<StoredTurn>,
}

pub(super) fn calls() -> Vec<Call> {
    let tag = "Conversations";
    vec![
        call(tag, "GET", "/api/conversations", "List one's own conversations")
            .query("limit", count(), "Conversations of a page, at most 50.")
            .query("after", text(), "The `next` of the page before.")
            .gives::<ConversationPage>(200, "A page of them.")
            .fails(&[E::InvalidRequest]),
        call(tag, "GET", "/api/conversations/{id}", "Read a conversation with its turns")
            .gives::<WholeConversation>(200, "The conversation.")
            .fails(&[E::NotFound, E::InvalidRequest]),
        call(tag, "PATCH", "/api/conversations/{id}", "Give a conversation another title")
            .takes::<RenameRequest>(json!({ "title": "The ferry" }))
            .gives::<Conversation>(200, "The conversation as it is now.")
            .fails(&[E::NotFound, E::InvalidRequest, E::MalformedJson, E::UnsupportedMediaType, E::BodyTooLarge]),
        call(tag, "DELETE", "/api/conversations/{id}", "Delete a conversation with its turns")
            .gives_nothing(204, "It is gone.")
            .fails(&[E::NotFound, E::InvalidRequest]),
        call(tag, "GET", "/api/conversations/{id}/export", "Read a conversation as a file to save")
            .gives::<WholeConversation>(200, "The file.")
            .fails(&[E::NotFound, E::InvalidRequest]),
        call(tag, "POST", "/api/feedback", "Say whether an answer helped")
            .takes::<FeedbackRequest>(json!({ "conversation_id": "ferry-1", "turn": 1, "rating": "up" }))
            .gives_nothing(204, "It is noted.")
            .fails(&[E::NotFound, E::InvalidRequest, E::MalformedJson, E::UnsupportedMediaType, E::BodyTooLarge]),
    ]
}
