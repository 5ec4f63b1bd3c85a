//! What many tests need: the product wired on a folder of its own, and ways to talk to it.

pub mod app;
pub mod azurite;
pub mod cosmos;
pub mod dying;
pub mod faults;
pub mod functions_app;
pub mod process;
pub mod redis;
pub mod vectors;
