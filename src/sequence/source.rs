//! One input object and the form of its content.

use super::bgzf;
use crate::storage::{Location, ObjectInfo};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The form of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Fasta,
    Text,
    Parquet,
}

/// How the content is compressed as a whole (Parquet compresses inside).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    None,
    Gzip,
    /// Blocked gzip, as `bgzip` writes: can be read from the middle
    Bgzf,
    Zstd,
}

/// One version of an input, as it is recorded with the scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub uri: Location,
    /// Bytes, as stored
    pub size: u64,
    /// What the store calls this version
    pub etag: Option<String>,
    /// Of a local file: what all copies of it have in common, and other files have not
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    pub format: Format,
    pub compression: Compression,
}

impl Source {
    /// The object that holds it, for reading exactly this version.
    pub fn info(&self) -> ObjectInfo {
        ObjectInfo { location: self.uri.clone(), size: self.size, etag: self.etag.clone() }
    }

    /// As every copy of it looks: without the ETag of a local file, which is that of one copy.
    pub fn of_any_copy(&self) -> Source {
        let etag = self.etag.clone().filter(|_| self.fingerprint.is_none());
        Source { etag, ..self.clone() }
    }

    /// Whether reading can begin near any byte of it.
    pub(super) fn is_splittable(&self) -> bool {
        matches!(self.compression, Compression::None | Compression::Bgzf)
    }

    /// The byte of the file, as stored, that `position` stands for, where that can be told.
    pub(super) fn stored_place(&self, position: u64) -> Option<u64> {
        match (self.format, self.compression) {
            (Format::Parquet, _) => None,
            (_, Compression::None) => Some(position),
            (_, Compression::Bgzf) => Some(position >> 16),
            (_, Compression::Gzip | Compression::Zstd) => None,
        }
    }

    /// A byte of the file from which on the record at `position` is found, and those after it: as close as is known. A
    /// record belongs where the line break before it lies, in BGZF where the block of that begins: a block before, if the
    /// record begins with its own.
    pub(super) fn place_before(&self, position: u64) -> u64 {
        match (self.format, self.compression) {
            (Format::Fasta, Compression::None) => position.saturating_sub(1),
            (Format::Fasta, Compression::Bgzf) => (position >> 16).saturating_sub(bgzf::MAX_BLOCK),
            _ => 0,
        }
    }
}

impl Compression {
    /// A position in a source so compressed, in words.
    pub(super) fn place(self, position: u64) -> String {
        match self {
            Compression::None => format!("byte {position}"),
            Compression::Bgzf => format!("virtual offset {position}"),
            Compression::Gzip | Compression::Zstd => format!("decompressed byte {position}"),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Bgzf => "BGZF",
            Compression::Zstd => "zstd",
        })
    }
}
