//! Changes of rows, in batches. Enters: actions, each as a line of JSON with its key. Leaves: nothing, once the service
//! has said of every single row that it is stored; an error when it refuses one for good or stays busy.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::AzureSearchIndex;
use super::client::{Call, Condition, Verb, WRITING, backoff};
use crate::error::{Error, ErrorKind, Result};

/// Most rows of a batch, as the service documents it.
const BATCH_ROWS: usize = 1_000;
/// Most bytes of a batch: half of what the service documents (16 MB).
const BATCH_BYTES: usize = 8 << 20;
/// How often a row is sent that the service has no time for.
const ROW_TRIES: u32 = 6;

/// One row and what to do with it.
#[derive(Clone, Debug)]
pub(super) struct Action {
    key: String,
    json: String,
}

#[derive(Serialize)]
struct Uploaded<'a, T> {
    #[serde(rename = "@search.action")]
    action: &'static str,
    #[serde(flatten)]
    row: &'a T,
}

impl Action {
    /// Stores a row under its key in place of any that is there.
    pub(super) fn upload(key: String, row: &impl Serialize) -> Result<Self> {
        let unfit = |e| Error::new(ErrorKind::Internal, "a passage cannot be written as JSON").caused_by(e);
        let json = serde_json::to_string(&Uploaded { action: "upload", row }).map_err(unfit)?;
        Ok(Self { key, json })
    }

    /// Deletes the row with a key, if there is one.
    pub(super) fn delete(key: String) -> Self {
        let json = json!({"@search.action": "delete", "id": key}).to_string();
        Self { key, json }
    }
}

impl AzureSearchIndex {
    /// Applies actions, batch after batch: when this returns, those of an earlier call are stored before those of a
    /// later one.
    pub(super) async fn apply(&self, index: &str, actions: Vec<Action>) -> Result<()> {
        let mut batches = batches(actions, BATCH_BYTES);
        batches.reverse();
        while let Some(batch) = batches.pop() {
            if let Some(halves) = self.apply_batch(index, batch).await? {
                batches.extend(halves.into_iter().rev());
            }
        }
        Ok(())
    }

    /// Sends a batch until every row of it is stored. Returns it in two halves when the service finds it too large.
    async fn apply_batch(&self, index: &str, mut batch: Vec<Action>) -> Result<Option<[Vec<Action>; 2]>> {
        let deadline = Instant::now() + WRITING;
        for attempt in 1.. {
            let call = Call {
                verb: Verb::Post,
                path: format!("indexes('{index}')/docs/search.index"),
                body: Some(body(&batch)),
                condition: Condition::Always,
                patience: deadline.saturating_duration_since(Instant::now()),
            };
            let answer = self.shared.client.send(&call).await?;
            if answer.status == 413 && batch.len() > 1 {
                let rest = batch.split_off(batch.len() / 2);
                return Ok(Some([batch, rest]));
            }
            if answer.status == 404 {
                self.forget_layout();
            }
            let busy = unstored(&answer.json(&[200, 207])?, &batch)?;
            batch.retain(|action| busy.contains(&action.key));
            if batch.is_empty() {
                return Ok(None);
            }
            let wait = backoff(attempt);
            if attempt == ROW_TRIES || Instant::now() + wait >= deadline {
                break;
            }
            tracing::debug!(attempt, rows = batch.len(), "sending rows to the search service again");
            sleep(wait).await;
        }
        let sentence = "the search service has no time for some passages";
        Err(Error::new(ErrorKind::StoreUnavailable, sentence).caused_by(format!("{} rows", batch.len())))
    }
}

/// The keys of rows that the service had no time for. A row that it refused, or says nothing about, is an error.
fn unstored(answer: &Value, batch: &[Action]) -> Result<HashSet<String>> {
    let mut silent: HashSet<&str> = batch.iter().map(|action| action.key.as_str()).collect();
    let mut busy = HashSet::new();
    for result in answer["value"].as_array().into_iter().flatten() {
        let key = result["key"].as_str().unwrap_or_default();
        silent.remove(key);
        match (result["status"].as_bool(), result["statusCode"].as_u64()) {
            (Some(true), _) => {}
            // Another writer at the same row, an index that is being changed, too many requests, a service under load.
            (_, Some(409 | 422 | 429 | 503)) => {
                busy.insert(key.to_owned());
            }
            (_, status) => {
                let cause = format!("row status {}", status.unwrap_or_default());
                return Err(Error::new(ErrorKind::Internal, "the search service refused a passage").caused_by(cause));
            }
        }
    }
    // Left out of the answer means not acknowledged.
    busy.extend(silent.into_iter().map(str::to_owned));
    Ok(busy)
}

fn body(batch: &[Action]) -> Bytes {
    let rows: Vec<&str> = batch.iter().map(|action| action.json.as_str()).collect();
    Bytes::from(format!("{{\"value\":[{}]}}", rows.join(",")))
}

/// Actions in batches that the service takes. One that is too large by itself goes alone, and is refused alone.
fn batches(actions: Vec<Action>, most_bytes: usize) -> Vec<Vec<Action>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for action in actions {
        let size = action.json.len() + 1;
        if !batch.is_empty() && (batch.len() == BATCH_ROWS || bytes + size > most_bytes) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(action);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletes(count: usize) -> Vec<Action> {
        (0..count).map(|number| Action::delete(format!("k{number}"))).collect()
    }

    #[test]
    fn batches_keep_within_rows_and_bytes() {
        let sizes = |actions, bytes| batches(actions, bytes).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(deletes(2_500), usize::MAX), [1_000, 1_000, 500]);
        assert_eq!(sizes(deletes(3), 1), [1, 1, 1]);
        assert!(sizes(Vec::new(), 1).is_empty());
    }

    #[test]
    fn a_row_without_a_word_is_not_stored_and_a_refused_one_fails() {
        let batch = deletes(3);
        let answer = json!({"value": [
            {"key": "k0", "status": true, "statusCode": 200},
            {"key": "k1", "status": false, "statusCode": 503},
        ]});
        assert_eq!(unstored(&answer, &batch).expect("only busy"), HashSet::from(["k1".to_owned(), "k2".to_owned()]));
        let refused = json!({"value": [{"key": "k0", "status": false, "statusCode": 400}]});
        assert_eq!(unstored(&refused, &batch).expect_err("refused").kind(), ErrorKind::Internal);
    }
}
