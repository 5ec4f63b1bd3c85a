//! The index on Azure AI Search, for those who outgrow the one on blob storage. Enters: an address, a key, rows,
//! changes. Leaves: what the service finds. There is no client library for the service in Rust, so its published
//! interface is spoken directly, in one version and without preview features.
//!
//! The service can replace neither a document nor anything else in one step, and shows a change a moment after it has
//! acknowledged it. So the version that counts is decided by whoever reads, from *claims* ([`claim`]): a search asks
//! for passages, then for the claims of their documents, and leaves out what is not of the version that counts. What
//! holds as in the index on segments: a document is seen in one version or none; versions only move forward unless
//! storage went back; a removal is not undone by a late writer, whatever the order in which the service shows things.
//!
//! What is weaker than there:
//! - a change is findable a few seconds late, and a removed document may be found that long by another instance; the
//!   process that made the change goes by it at once;
//! - between the claim and its passages becoming findable a document may be found in parts or not at all for a moment;
//! - two writers at once may both be told that they were applied; what is shown is the later version all the same;
//! - a term's weight is estimated from what was found, because the service does not tell how rare a term is;
//! - counts are those of the service, about; damage is the service's matter, and nothing can be put back to an earlier
//!   state but by making the documents anew.

pub mod authorization;
pub mod claim;
mod client;
pub mod filter;
mod known;
mod layout;
mod maintain;
mod query;
mod read;
pub mod schema;
mod upload;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use self::authorization::Authorization;
use self::client::Client;
use self::known::Memory;
use self::layout::Seen;
use self::schema::{SCHEMA_VERSION, Wanted};
use crate::clock::Clock;
use crate::document::DocumentId;
use crate::index::segments::analyze::{Analyzer, StemmerLanguage};

pub use self::client::API_VERSION;

/// Locks for documents. Two documents may share one; one document always has the same.
const LOCKS: usize = 64;

/// Where the service is, and how to use it.
#[derive(Clone, Debug)]
pub struct AzureSearchSettings {
    /// `https://<name>.search.windows.net`.
    pub endpoint: Url,
    /// The name of the index: an alias, behind which stand `<name>-v1` and its successors.
    pub index: String,
    /// How requests say who sends them.
    pub authorization: Authorization,
    /// Whether results are ranked again by meaning, which the service charges for.
    pub semantic: bool,
    /// How long another instance's changes may be missed in the number of the generation.
    pub refresh: Duration,
    /// The language whose word endings are cut off.
    pub language: StemmerLanguage,
}

/// The index at one service.
#[derive(Clone)]
pub struct AzureSearchIndex {
    shared: Arc<Shared>,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Documents.
    pub documents: u64,
    /// Passages of them.
    pub passages: u64,
}

struct Shared {
    client: Client,
    settings: AzureSearchSettings,
    wanted: Wanted,
    analyzer: Analyzer,
    clock: Clock,
    layout: Mutex<Option<Seen>>,
    changing_layout: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    locks: Vec<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for AzureSearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSearchIndex").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl AzureSearchIndex {
    /// The index at a service. Calls nobody until it is first used.
    pub fn new(settings: AzureSearchSettings, clock: Clock) -> Self {
        let analyzer = Analyzer::new(settings.language);
        let name = analyzer.name();
        let language = name.split('-').next().unwrap_or_default();
        let wanted = Wanted::new(language, settings.semantic);
        let shared = Shared {
            client: Client::new(settings.endpoint.clone(), settings.authorization.clone()),
            settings,
            wanted,
            analyzer,
            clock,
            layout: Mutex::default(),
            changing_layout: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How text becomes terms on our side, where evidence is weighed; the service is told the same steps.
    pub fn analyzer(&self) -> &Analyzer {
        &self.shared.analyzer
    }

    /// Says how rows are made; another word means they should be made anew.
    pub fn analyzer_name(&self) -> String {
        format!("search{SCHEMA_VERSION}-{}", self.shared.analyzer.name())
    }

    /// The lock under which this process changes a document.
    fn lock_of(&self, document: &DocumentId) -> &tokio::sync::Mutex<()> {
        let place = usize::from_str_radix(&document.as_str()[..2], 16).unwrap_or(0);
        &self.shared.locks[place % LOCKS]
    }
}
