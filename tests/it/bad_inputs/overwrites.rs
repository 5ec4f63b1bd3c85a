//! One blob written again and again, told of by events that come late, twice and in the wrong order.

use serde_json::json;

use crate::hostile::Besieged;
use crate::support::app::{Answer, post_json};

const CREATED: &str = include_str!("../../fixtures/envelopes/event_grid_created.json");
const DELETED: &str = include_str!("../../fixtures/envelopes/event_grid_deleted.json");
/// What the events are about.
const NAME: &str = "2026/11/Grüße & more.md";
/// The order of the events, as storage numbers them.
const SEQUENCER: &str = "28963";

async fn tell(besieged: &Besieged, envelope: &str, number: u32) -> Answer {
    let envelope = envelope.replace(SEQUENCER, &number.to_string());
    let answer = besieged.test.send(post_json("/document_events", envelope)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn search(besieged: &Besieged) -> String {
    besieged.test.post("/api/search", &json!({"query": "Which lamp is on the pier?"})).await.body
}

#[tokio::test]
async fn bad_input_28_what_storage_holds_in_the_end_is_what_is_found() {
    let besieged = Besieged::with(&[("DOCUMENTS_CONTAINER", "documents")]).await;
    assert!(CREATED.contains(NAME) && CREATED.contains(SEQUENCER));
    let deleted = DELETED.replace(&subject(DELETED), &subject(CREATED));
    for lamp in ["red", "white", "green"] {
        besieged.test.write(NAME, format!("The lamp on the pier is {lamp}."));
    }
    let mut worked = 0;
    for number in [28_965, 28_964, 28_963, 28_965, 28_964, 28_963] {
        let answer = tell(&besieged, CREATED, number).await.json();
        worked += usize::from(answer["Logs"][0] != "nothing to do");
    }
    assert_eq!(worked, 1, "one attempt for the one version there is");
    let found = search(&besieged).await;
    assert!(found.contains("green") && !found.contains("red.") && !found.contains("white"), "{found}");
    besieged.test.delete(NAME);
    for (envelope, number) in [(deleted.as_str(), 28_966), (CREATED, 28_964), (&deleted, 28_966), (CREATED, 28_963)] {
        tell(&besieged, envelope, number).await;
        assert!(!search(&besieged).await.contains("lamp on the pier"), "gone is gone");
    }
    besieged.stands().await;
}

/// The subject of an envelope's event, as it stands there.
fn subject(envelope: &str) -> String {
    let start = envelope.find("/blobServices/default/containers/documents/blobs/").unwrap();
    let end = envelope[start..].find('\\').unwrap();
    envelope[start..start + end].to_owned()
}
