//! Where bytes and small facts are kept. Each store is a trait with a stated contract, one embedded form and one Azure
//! form; a suite in the tests runs the same assertions against every form. Nothing here knows what a document is.

pub mod blobs;
pub mod records;
pub mod shared_key;
pub mod storage_account;
