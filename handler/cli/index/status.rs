//! `handler index status`: the index in numbers, segment by segment, and how far it is from storage.

use std::collections::BTreeMap;
use std::process::ExitCode;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::documents::fit;
use crate::error::Result;
use crate::index::IndexStatus;
use crate::index::segments::overview::SegmentOverview;
use crate::ingest::reconcile::Drift;

/// Digits of a segment's id that are shown to people; enough to tell it from the others.
const ID_SHOWN: usize = 8;

/// Shows. The status is 1 when part of the index is damaged.
pub(super) async fn run(app: &App, json: bool) -> Result<ExitCode> {
    // First, because it looks for damage.
    let segments = match app.index.segments() {
        Some(segments) => segments.overview().await?,
        None => Vec::new(),
    };
    let status = app.index.status().await?;
    let drift = app.ingest.drift().await?;
    let drift: BTreeMap<Drift, usize> = drift.into_iter().map(|(drift, names)| (drift, names.len())).collect();
    let rows: u64 = segments.iter().map(|segment| segment.passages).sum();
    let dead = rows - segments.iter().map(|segment| segment.live_passages.min(segment.passages)).sum::<u64>();
    if json {
        let mut shown = json!(status);
        if let Value::Object(members) = &mut shown {
            let own = [("dead_passages", json!(dead)), ("drift", json!(drift)), ("by_segment", json!(segments))];
            members.extend(own.map(|(name, value)| (name.to_owned(), value)));
        }
        println!("{shown}");
    } else {
        show(&status, dead, &drift, &segments);
    }
    Ok(if status.damaged_segments > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(status: &IndexStatus, dead: u64, drift: &BTreeMap<Drift, usize>, segments: &[SegmentOverview]) {
    if !segments.is_empty() {
        println!("{}", table(segments));
    }
    println!(
        "generation {}: {} documents, {} passages and {dead} dead rows in {} segments of {} bytes",
        status.generation, status.documents, status.passages, status.segments, status.size_bytes
    );
    if status.damaged_segments > 0 {
        println!("{} segments are damaged; `handler index verify --repair` makes them anew", status.damaged_segments);
    }
    let differing: usize = drift.values().sum();
    if differing == 0 {
        println!("storage and index agree");
    } else {
        let kinds = drift.iter().map(|(drift, count)| format!("{count} {}", json!(drift).as_str().unwrap_or_default()));
        let kinds: Vec<String> = kinds.collect();
        println!("{differing} documents differ from storage: {}; `handler maintain` repairs them", kinds.join(", "));
    }
}

fn table(segments: &[SegmentOverview]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    fit(&mut table);
    let columns = ["segment", "documents", "live", "rows", "words", "vectors", "embedding", "analyzer", ""];
    table.set_header(columns);
    for segment in segments {
        let embedding = segment.embedding.as_ref();
        table.add_row([
            segment.id.chars().take(ID_SHOWN).collect::<String>(),
            segment.documents.to_string(),
            segment.live_passages.to_string(),
            segment.passages.to_string(),
            segment.words_bytes.to_string(),
            segment.vectors_bytes.to_string(),
            embedding.map(|space| format!("{}, {}", space.model, space.dimensions)).unwrap_or_default(),
            segment.analyzer.clone(),
            if segment.is_damaged { "damaged" } else { "" }.to_owned(),
        ]);
    }
    for column in 1..=5 {
        table.column_mut(column).into_iter().for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
    }
    table
}
