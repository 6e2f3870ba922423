//! bioprune scores sequences by their self-influence under a reference model and selects a coreset.
//!
//! ```text
//! storage -> sequence -> tokenizer -> batching -> model (encoder, head) -> influence -> scores -> selection -> storage
//! ```
//!
//! `pipeline` strings these together into jobs; `cli`, `service` (through `jobs`) and `client` are the ways in.
//! ARCHITECTURE.md is the map.

pub mod batching;
mod cancel;
pub mod cli;
pub mod client;
pub mod confounds;
mod digest;
pub mod error;
pub mod evaluation;
#[cfg(test)]
mod fuzz;
pub mod groups;
pub mod hub;
pub mod influence;
pub mod jobs;
pub mod model;
mod options;
pub mod pipeline;
pub mod probe;
pub mod process;
mod processors;
pub mod random;
pub mod report;
pub mod scores;
pub mod selection;
pub mod sequence;
pub mod service;
pub mod spill;
pub mod storage;
pub mod tokenizer;
pub mod train;

pub(crate) use options::{default_from_flags, parse_share, string_serde};
