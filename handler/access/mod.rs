//! Who is asking, and may they. Every request passes through [`Access::admit`] with what its route needs.
//!
//! Callers are not told apart yet: whoever gets past the host's function key reads what everybody may read.

pub mod address;
pub mod budget;
pub mod limits;

use axum::http::request::Parts;

use crate::document::Principal;
use crate::error::Result;

/// What a route needs of its caller. Each route says one; there is no route without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: health, and files that are the same for everybody.
    Open,
    /// To ask a model, which costs more than reading does.
    Ask,
    /// To read what one may read.
    Read,
    /// To bring documents, and to take back what one brought.
    Contribute,
    /// To run the product.
    Operate,
}

/// Decides who gets in.
#[derive(Debug, Default)]
pub struct Access {}

impl Access {
    /// The principal of a request, where it has what the route needs.
    pub async fn admit(&self, _need: Need, _head: &Parts) -> Result<Principal> {
        Ok(Principal::anonymous())
    }
}
