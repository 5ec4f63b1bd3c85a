//! The options of a command that say where to look. What enters are words from the command line, what leaves is a `Filter`.

use chrono::{DateTime, Utc};
use clap::Args;

use crate::chat::filter;
use crate::document::DocumentId;
use crate::index::filter::Filter;

#[derive(Args)]
pub(super) struct FilterArgs {
    /// Look only into documents of this category
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Look only into documents whose name begins so, for example `handbook/`
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Look only into this document, by name or id; may be given several times
    #[arg(long, value_name = "DOCUMENT", value_parser = document)]
    document: Vec<Ids>,
    /// Look only into documents changed at this time or later: 2026-05-01 or 2026-05-01T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Look only into documents changed before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<DateTime<Utc>>,
}

/// The ids that one word may mean.
#[derive(Clone)]
struct Ids(Vec<DocumentId>);

impl FilterArgs {
    pub(super) fn filter(self) -> Filter {
        Filter {
            documents: self.document.into_iter().flat_map(|ids| ids.0).collect(),
            path_prefix: self.path,
            category: self.category,
            exclude_category: None,
            modified_from: self.since,
            modified_before: self.before,
        }
    }
}

fn document(raw: &str) -> Result<Ids, String> {
    filter::document(raw).map(Ids).map_err(|e| e.message().to_owned())
}

fn time(raw: &str) -> Result<DateTime<Utc>, String> {
    filter::time(raw).map_err(|e| e.message().to_owned())
}
