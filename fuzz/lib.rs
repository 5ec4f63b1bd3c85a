//! What all fuzz targets share: bytes go through the reader of one format and are cut into passages, as ingestion does it,
//! but without the fence. A panic is a finding, and so is memory or time without end where the reader is ours.
//!
//! The modules are the sources of the product, by path: readers know nothing of stores, indexes or servers, and so neither
//! does what is built here.

#[path = "../handler/document.rs"]
pub mod document;
#[path = "../handler/error.rs"]
pub mod error;
/// Why a service outside could not be used. The product's own module knows the clients of those services; readers have none.
pub mod reason {
    use std::fmt;

    /// There is none here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Reason {}

    impl fmt::Display for Reason {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
#[path = "../handler/tokens.rs"]
pub mod tokens;

/// The part of ingestion that reads.
#[path = "../handler/ingest"]
pub mod ingest {
    pub mod chunk;
    pub mod formats;
}

mod fence;
mod packages;

use std::panic::{AssertUnwindSafe, catch_unwind};

use document::DocumentName;
use ingest::chunk::{ChunkSettings, chunk};
use ingest::formats::{ExtractLimits, FORMATS, Fit};

use tokens::estimate;

pub use libfuzzer_sys;

/// The product's limits, at a scale at which reaching one takes no second.
const LIMITS: ExtractLimits =
    ExtractLimits { max_unpacked_bytes: 8 << 20, max_part_bytes: 4 << 20, ..ExtractLimits::new(50, 1 << 20) };
const CHUNK: ChunkSettings = ChunkSettings { tokens: 400, overlap_tokens: 50 };

/// Makes the target of the format that has this extension.
#[macro_export]
macro_rules! fuzz_reader {
    ($extension:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(init: $crate::prepare($extension), |bytes: &[u8]| {
            $crate::read($extension, bytes)
        });
        $crate::libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate(bytes, size, max_size, seed)
        });
    };
}

/// Formats that a library reads as a whole. A panic inside of the library is known to happen with damaged documents; it
/// is what the fence is for, and is no finding. One in our own code is.
const READ_BY_A_LIBRARY: &[&str] = &["pdf", "xls", "xlsx", "ods"];

/// Called once, after libFuzzer has made every panic an abort.
pub fn prepare(extension: &str) {
    if !READ_BY_A_LIBRARY.contains(&extension) {
        return;
    }
    fence::put_up();
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or("", std::panic::Location::file);
        let is_ours = !place.contains("/registry/") && !place.contains("/library/");
        if is_ours {
            abort(panic);
        }
    }));
}

/// Reads a document of one format and cuts it into passages. What its sniffer turns away is not read, as in the product.
pub fn read(extension: &str, bytes: &[u8]) {
    let format = FORMATS.iter().find(|format| format.extensions.contains(&extension)).expect("the format exists");
    let name = DocumentName::parse(&format!("fuzzed.{extension}")).expect("the name is a name");
    let read = || {
        if (format.sniff)(bytes) == Fit::No {
            return;
        }
        if let Ok(extracted) = (format.read)(bytes, &LIMITS) {
            let text_bytes: usize = extracted.blocks.iter().map(|block| block.text.len()).sum();
            assert!(text_bytes <= LIMITS.max_text_bytes, "the limit of text does not hold");
            let passages = chunk(&name, &extracted, &CHUNK);
            for passage in passages {
                assert!(!passage.text.trim().is_empty(), "an empty passage");
                assert!(estimate(&passage.text) <= 3 * CHUNK.tokens, "an endless passage");
            }
        }
    };
    // Only panics that are no finding come back from it.
    let _ = catch_unwind(AssertUnwindSafe(read));
}

/// Changes bytes for the next run: now as they lie, now inside of a part, if they are an archive.
pub fn mutate(bytes: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    packages::mutate_part(bytes, size, max_size, seed)
        .unwrap_or_else(|| libfuzzer_sys::fuzzer_mutate(bytes, size, max_size))
}
