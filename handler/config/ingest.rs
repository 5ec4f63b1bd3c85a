//! How documents come in: how they are read, cut and counted, who may read them, and where they may be fetched from.

use std::path::PathBuf;
use std::time::Duration;

use super::source::Reader;
use super::{bounded, is_production};
use crate::document::Principal;
use crate::ingest::chunk::ChunkSettings;
use crate::ingest::extract::ExtractSettings;
use crate::ingest::formats::ExtractLimits;
use crate::ingest::pipeline::IngestSettings;
use crate::ingest::rights::{RightsSettings, folder_rules};

/// CPU seconds for each second that reading a document may take: it may use two threads at most.
const CPU_PER_WALL: u64 = 1;

pub(super) fn extract(reader: &mut Reader<'_>, program: PathBuf) -> ExtractSettings {
    let seconds = reader.number("EXTRACT_TIMEOUT_SECONDS", 1, 3_600);
    ExtractSettings {
        program,
        max_workers: bounded(reader, "MAX_WORKERS", 1, 1_024),
        memory_bytes: reader.number("EXTRACT_MEMORY_MB", 64, 1 << 20) << 20,
        cpu_seconds: seconds * CPU_PER_WALL,
        wall: Duration::from_secs(seconds),
        limits: ExtractLimits::new(
            u32::try_from(reader.number("MAX_DOCUMENT_PAGES", 1, 1_000_000)).unwrap_or(u32::MAX),
            bounded(reader, "MAX_DOCUMENT_TEXT", 1 << 10, 1 << 30),
        ),
    }
}

pub(super) fn settings(reader: &mut Reader<'_>, lease: Duration) -> IngestSettings {
    let tokens = bounded(reader, "CHUNK_TOKENS", 20, 8_000);
    let overlap_tokens = bounded(reader, "CHUNK_OVERLAP_TOKENS", 0, 4_000);
    if overlap_tokens * 2 > tokens {
        reader.problem("CHUNK_OVERLAP_TOKENS", "must be at most half of CHUNK_TOKENS");
    }
    IngestSettings {
        max_document_bytes: reader.number("MAX_DOCUMENT_SIZE", 1, 1 << 32),
        max_attempts: u32::try_from(reader.number("MAX_DOCUMENT_ATTEMPTS", 1, 100)).unwrap_or(u32::MAX),
        max_documents_per_owner: reader.number("MAX_DOCUMENTS_PER_USER", 1, u64::MAX),
        rights: rights(reader),
        chunk: ChunkSettings { tokens, overlap_tokens },
        lease,
    }
}

fn rights(reader: &mut Reader<'_>) -> RightsSettings {
    let rules = folder_rules(&reader.text("FOLDER_RIGHTS").unwrap_or_default());
    let folders = reader.accept("FOLDER_RIGHTS", rules).unwrap_or_default();
    let default_readers = match reader.text("DEFAULT_READERS").as_deref() {
        // What nobody thought of is for nobody where it matters.
        None if is_production(reader) => Vec::new(),
        None | Some("everyone") => vec![Principal::EVERYONE.to_owned()],
        Some("nobody") => Vec::new(),
        _ => {
            reader.problem("DEFAULT_READERS", "must be everyone or nobody");
            Vec::new()
        }
    };
    RightsSettings { folders, default_readers }
}

pub(super) fn fetch_ports(reader: &mut Reader<'_>) -> Vec<u16> {
    let text = reader.text("FETCH_PORTS").unwrap_or_default();
    let ports: Result<Vec<u16>, _> = text.split(',').map(|port| port.trim().parse()).collect();
    ports.unwrap_or_else(|_| {
        reader.problem("FETCH_PORTS", "must be ports with commas between them");
        Vec::new()
    })
}
