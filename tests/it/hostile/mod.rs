//! Hostile input from every side. What enters is what nobody should send; what leaves is a problem that names its kind, or a
//! row of the ledger that says what is wrong. After each group a good question still gets its cited answer.

mod addresses;
mod answers;
mod cut_bodies;
mod damaged_documents;
mod damaged_variants;
mod envelopes;
mod packages;
mod pdfs;
mod protocols;
mod questions;
mod searches;
mod triggers;
mod uploads;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::StreamExt;
use knowledge_worker::document::{DocumentId, Principal};
use knowledge_worker::ingest::ledger::State;
use serde_json::json;

use crate::support::app::{TestApp, document_name};

/// The document that was there before.
const KEPT: &str = "harbour/kept.md";

/// The product with a good document in it, which nothing that follows may cost.
pub struct Besieged {
    pub test: TestApp,
}

impl Besieged {
    /// With some settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let test = TestApp::with(settings);
        test.ingest(KEPT, "# Harbour\n\nThe basin of Tarnholm is 14 metres deep at low water.\n").await;
        Self { test }
    }

    /// Asserts that the good document is as it was and still answers, with its source.
    pub async fn stands(&self) {
        let answer = self.test.post("/api/chat", &json!({"message": "How deep is the basin of Tarnholm?"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let said = answer.json()["response"].as_str().expect("an answer has words").to_owned();
        assert!(said.contains("14 metres") && said.contains(&format!("[{KEPT}]")), "{said}");
        let row = self.test.row(KEPT).await.expect("the document has its row");
        assert_eq!((row.state, row.error), (State::Indexed, None));
        let id = DocumentId::of(&document_name(KEPT));
        let passages = self.test.app.index.passages(&Principal::anonymous(), &id).await.expect("the index answers");
        assert_eq!(passages.len(), 1);
    }

    /// Asserts that a name is quarantined for a reason, told in a sentence.
    pub async fn assert_quarantined(&self, raw_name: &str, code: &str) {
        let row = self.test.app.ingest.ledger.get(&DocumentId::of_raw(raw_name)).await.expect("the ledger answers");
        let row = row.unwrap_or_else(|| panic!("{raw_name:.80?} has no row"));
        let error = row.error.unwrap_or_else(|| panic!("{raw_name:.80?} is {:?} without a reason", row.state));
        assert_eq!((row.state, error.code.as_str()), (State::Quarantined, code), "{raw_name:.80?}: {}", error.message);
        assert!(error.message.len() > 10 && !error.message.contains("panic"), "{}", error.message);
        assert!(row.name.chars().all(|c| !c.is_control()), "{:?}", row.name);
    }
}

/// A body that comes in pieces and does not say how long it is; and how much of it was asked for.
fn unmeasured(total_bytes: usize) -> (Body, Arc<AtomicUsize>) {
    const PIECE: usize = 16 << 10;
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let pieces = futures_util::stream::iter(0..total_bytes.div_ceil(PIECE)).map(move |_| {
        counter.fetch_add(PIECE, Ordering::SeqCst);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; PIECE]))
    });
    (Body::from_stream(pieces), taken)
}
