//! The Functions host's protocol, from both sides: how the real host calls this process, and a local host that calls the
//! same functions in the same way on a laptop. Knows nothing of documents or chat.

pub mod definition;
pub mod envelope;
pub mod impatient;
pub mod invoke;
pub mod local;
mod observed;
pub mod problem;
pub mod same_origin;
pub mod schedule;
pub mod server;
