//! What the path and the query of a request say, in the ways that several functions share.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// The id in a path. One that no text could be is as unknown as one that nobody has.
pub(super) fn id(raw: Result<Path<String>, PathRejection>) -> String {
    raw.map(|Path(id)| id).unwrap_or_default()
}

/// Which part of a list is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    limit: Option<usize>,
    after: Option<String>,
    /// The host's key may be in the query; it is nobody's business here.
    #[serde(rename = "code")]
    _code: Option<String>,
}

impl Part {
    /// What to begin after, and how many: as many as a page has when nobody says, and never more.
    pub(super) fn read(query: Result<Query<Self>, QueryRejection>, page: usize) -> Result<(Option<String>, usize)> {
        let Query(query) = query.map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, "the query knows `limit`, a whole number, and `after`, a text")
        })?;
        Ok((query.after.filter(|after| !after.is_empty()), query.limit.unwrap_or(page).clamp(1, page)))
    }
}
