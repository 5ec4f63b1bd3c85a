//! What people say of answers. What enters is a rating of a turn, what leaves are rows that an evaluation can read: the
//! question, and where a good answer was found.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ConversationId, Conversations, StoredTurn, body, number, read, turns_of, unknown};
use crate::document::{Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::stores::records::Precondition;

/// Characters of a comment.
const COMMENT_CHARS: usize = 2_000;
/// Where all feedback is: whoever looks after the product reads it in one go.
pub(super) const PARTITION: &str = "feedback/all";
/// Rows that are read at once.
const PAGE: usize = 200;

/// Whether an answer helped.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// It helped.
    Up,
    /// It did not.
    Down,
}

/// What somebody says of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// The turn's question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Whether it helped.
    pub rating: Rating,
    /// What else there is to say.
    pub comment: Option<String>,
    /// Where the answer was found: names of documents, with the page where there is one.
    pub sources: Vec<(String, Option<u32>)>,
    /// Who says so, as a hash.
    pub by: String,
}

impl Feedback {
    /// A row for `handler evaluate`, and the rating beside it: an answer that helped tells which document answers the question.
    pub fn row(&self) -> Value {
        let mut row = json!({ "question": self.question, "rating": self.rating });
        if let (Rating::Up, Some((document, page))) = (self.rating, self.sources.first()) {
            row["document"] = json!(document);
            row["page"] = json!(page);
        }
        if let Some(comment) = &self.comment {
            row["comment"] = json!(comment);
        }
        row
    }
}

/// Under which a rating of a turn is kept.
fn key_of(partition: &str, turn: u32) -> String {
    content_hash(format!("{partition}/{turn}").as_bytes())
}

/// A person as feedback has them.
pub(super) fn by(principal: &Principal) -> String {
    content_hash(principal.owner().as_bytes())[..16].to_owned()
}

impl Conversations {
    /// Keeps a rating of one's own turn; a later one replaces it.
    pub async fn rate(
        &self,
        principal: &Principal,
        id: &ConversationId,
        turn: u32,
        rating: Rating,
        comment: Option<String>,
    ) -> Result<()> {
        if comment.as_ref().is_some_and(|comment| comment.chars().count() > COMMENT_CHARS) {
            return Err(Error::new(ErrorKind::InvalidRequest, "a comment has at most 2,000 characters"));
        }
        let partition = turns_of(principal, id);
        let record = self.records.get(&partition, &number(turn)).await?.ok_or_else(unknown)?;
        let stored: StoredTurn = read(record)?;
        let sources = stored.citations.iter().map(|cited| (cited.name.as_str().to_owned(), cited.page)).collect();
        let feedback = Feedback {
            question: stored.question,
            answer: stored.answer.unwrap_or_default(),
            rating,
            comment,
            sources,
            by: by(principal),
        };
        self.records
            .put(PARTITION, &key_of(&partition, turn), &body(&feedback)?, Precondition::Always, Some(self.keep))
            .await
            .map(|_| ())
    }

    /// Forgets what was said of the first `turns` answers of a conversation: it has the questions and answers in it.
    pub(super) async fn forget_feedback(&self, principal: &Principal, id: &ConversationId, turns: u32) -> Result<()> {
        let partition = turns_of(principal, id);
        for turn in 1..=turns {
            self.records.delete(PARTITION, &key_of(&partition, turn)).await?;
        }
        Ok(())
    }

    /// All feedback, for whoever looks after the product.
    pub async fn feedback(&self) -> Result<Vec<Feedback>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.records.list(PARTITION, after.as_deref(), PAGE).await?;
            for record in page.records {
                all.push(read(record)?);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}
