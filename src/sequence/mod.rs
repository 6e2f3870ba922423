//! Sequence inputs: from URIs to records, and from records to a coreset file.
//!
//! A [`Dataset`] is a list of [`Source`]s (FASTA, text or Parquet; plain, gzip, BGZF or zstd, told by their content).
//! Its [`Records`] come in (source, position) order, whole or for one [`Shard`]: the union of the shards I/N over I
//! is the unsharded sequence, for any N. A [`Record`] keeps the bytes of the input, so that a coreset repeats them.
//!
//! Faults of the data are `BadInput` errors that name the file and the record. What only a model can judge, such as
//! illegal characters and records without residues, is left to the caller.

mod bgzf;
mod content;
mod coreset;
mod dataset;
mod detect;
mod fasta;
mod fingerprint;
mod inflation;
mod options;
mod parquet;
mod parquet_object;
mod read_ahead;
mod record;
mod shard;
mod source;
mod text;

pub use coreset::CoresetWriter;
pub use dataset::{Dataset, Records};
pub use options::{InputFormat, InputOptions, OnBadRecord, OnLong, Shard};
pub(crate) use parquet_object::decoded;
pub use record::{MAX_RECORD_BYTES, Record};
pub use shard::Extent;
pub use source::{Compression, Format, Source};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod shard_tests;
#[cfg(test)]
mod tests;
