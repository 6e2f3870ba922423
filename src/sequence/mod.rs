//! Sequence inputs.

mod options;
pub use options::{InputFormat, InputOptions, OnBadRecord, OnLong, Shard};
