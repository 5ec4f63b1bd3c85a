//! Which documents a search may look into, beside what rights allow.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::document::DocumentId;
use crate::index::segments::manifest::DocumentEntry;

/// Conditions that all have to hold; the default holds for every document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Filter {
    /// One of these documents; any when there are none.
    pub documents: Vec<DocumentId>,
    /// In this folder or below it, or with a name that begins so: `handbook/`.
    pub path_prefix: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// Not of this category.
    pub exclude_category: Option<String>,
    /// Last changed at this time or later.
    pub modified_from: Option<DateTime<Utc>>,
    /// Last changed before this time.
    pub modified_before: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether it holds for every document.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it holds for a document.
    pub fn admits(&self, id: &DocumentId, entry: &DocumentEntry) -> bool {
        self.admits_named(id, entry.name.as_str(), entry.category.as_deref(), entry.version.modified)
    }

    /// Whether it holds for a document of which this is known.
    pub fn admits_named(&self, id: &DocumentId, name: &str, category: Option<&str>, modified: DateTime<Utc>) -> bool {
        (self.documents.is_empty() || self.documents.contains(id))
            && self.path_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
            && self.category.as_deref().is_none_or(|wanted| category == Some(wanted))
            && self.exclude_category.as_deref().is_none_or(|unwanted| category != Some(unwanted))
            && self.modified_from.is_none_or(|from| modified >= from)
            && self.modified_before.is_none_or(|before| modified < before)
    }
}
