//! The tests that see the product from outside its modules, as one binary. They need Azurite, whose address `scripts/test`
//! puts into the environment; without it they fail, they are not skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails, and says where")]

#[path = "../fake_azure/mod.rs"]
mod fake_azure;
#[path = "../fake_collector/mod.rs"]
mod fake_collector;
#[path = "../fake_entra/mod.rs"]
mod fake_entra;
#[path = "../fake_openai/mod.rs"]
mod fake_openai;
#[path = "../fake_reranker/mod.rs"]
mod fake_reranker;
#[path = "../fake_search/mod.rs"]
mod fake_search;
#[path = "../hostile_answers/mod.rs"]
mod hostile_answers;
#[path = "../stand_in/mod.rs"]
#[allow(dead_code, reason = "the stand-in is also a program of its own, and uses parts that no test does")]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod actions;
mod asking;
mod audited;
mod azure;
mod azure_search;
mod backup;
mod bad_inputs;
mod blob_stores;
mod budget;
mod caching;
mod chat;
mod citations;
mod clients;
mod command_line;
mod contract;
mod convergence;
mod conversations;
mod cosmos;
mod cosmos_app;
mod deadlines;
mod doctor;
mod documents;
mod embeddings;
mod evaluate;
mod evidence;
mod failover;
mod faults;
mod fetch;
mod filters;
mod formats;
mod functions_host;
mod fuzz_targets;
mod health;
mod host_protocol;
mod hostile;
mod hybrid;
mod identity;
mod index;
mod index_commands;
mod ingest;
mod key_vault;
mod layers;
mod limits;
mod mcp;
mod merging;
mod models;
mod openapi;
mod package;
mod page;
mod privacy;
mod record_stores;
mod rerank;
mod rights;
mod routes;
mod samples;
mod serve;
mod stale_index;
mod telemetry;
mod tools;
mod vectors;
