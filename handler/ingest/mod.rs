//! A blob becomes passages: claim, check, fetch, extract, chunk, embed, index, finish. Enters: names of blobs. Leaves: passages
//! in the index and a row in the ledger. Knows nothing of chat and asks no chat model.

pub mod by_hand;
pub mod chunk;
pub mod embed;
pub mod extract;
pub mod fetch;
pub mod formats;
pub mod history;
pub mod intake;
pub mod ledger;
pub mod locks;
pub mod original;
pub mod overview;
pub mod pipeline;
pub mod public_address;
pub mod rebuild;
pub mod reconcile;
pub mod rights;
pub mod settled;
pub mod web_name;
