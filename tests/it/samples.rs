//! The product on its sample documents: how often the right page is found and cited, and how often it rightly says that it
//! does not know. A change that makes answers worse fails here. The figures are those of `handler evaluate`.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use knowledge_worker::cli::evaluate::least::Floor;
use knowledge_worker::cli::evaluate::questions;

use crate::support::app::TestApp;

/// The worst that may come out, each a little under what does.
const FLOORS: &[Floor] = &[
    // How high the right page stands.
    Floor { figure: "ndcg@10", value: 0.98 },
    // Of the questions that have an answer, the share whose cited sources include the right page.
    Floor { figure: "citation", value: 0.95 },
    // Of these, the share whose answer holds the expected words.
    Floor { figure: "answer", value: 0.85 },
    // Of the questions that nobody can answer from these documents, the share that is not answered.
    Floor { figure: "abstention", value: 1.0 },
    Floor { figure: "false-abstention", value: 0.03 },
];

#[tokio::test]
async fn sample_questions_are_answered_from_the_right_page() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let folder = samples.join("documents");
    let test = TestApp::with(&[("KNOWLEDGE_WORKER_DOCUMENTS", folder.to_str().unwrap())]);
    let deadline = Instant::now() + Duration::from_secs(120);
    let drift = test.app.ingest.reconcile(deadline, &test.app.records).await.unwrap();
    assert_eq!((drift.indexed, drift.quarantined, drift.failed), (20, 0, 0), "{drift:?}");

    let asked = questions::read(&samples.join("questions.jsonl")).unwrap();
    let report = questions::evaluate(&test.app, &asked, 100, &ProgressBar::hidden()).await.unwrap();
    report.show(FLOORS);
    assert!(report.rows.iter().all(|row| row.error.is_none()));
    assert!(report.below(FLOORS).is_empty(), "{:?}", report.below(FLOORS));
}
