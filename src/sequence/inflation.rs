//! How much content may come out of few stored bytes: what inflates without bound is made to harm.

use super::source::Source;
use crate::error::{Error, Result};

/// Content of this size is taken whatever it was stored in: four of the longest records.
const FREE: u64 = 256 << 20;
/// Times its stored bytes that more content may have. Sequences of four letters inflate some 4-fold, ones that repeat
/// much some 50-fold; gzip reaches 1000, zstd far more, on content that is all the same.
const MOST: u64 = 250;

/// Compares what came out of a source with what went in.
pub(super) struct Inflation<'a> {
    source: &'a Source,
    content: u64,
}

impl Inflation<'_> {
    pub fn of(source: &Source) -> Inflation<'_> {
        Inflation { source, content: 0 }
    }

    /// Counts `length` more bytes of content, made of `stored` bytes from the first on.
    ///
    /// # Errors
    /// `bad_input` where it is too much.
    pub fn add(&mut self, length: usize, stored: u64) -> Result<()> {
        self.content += length as u64;
        if self.content <= FREE || self.content / MOST <= stored {
            return Ok(());
        }
        Err(Error::bad_input(format!(
            "{}: {} bytes of content came out of {stored} stored ones; beyond {} MiB allowed is {MOST}-fold: \
             decompress it first if it is meant to be so",
            self.source.uri,
            self.content,
            FREE >> 20
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Format};
    use super::*;

    #[test]
    fn much_out_of_little_is_refused_beyond_what_is_free() {
        let uri = "a.fa.gz".parse().unwrap();
        let (format, compression) = (Format::Fasta, Compression::Gzip);
        let source = Source { uri, size: 1000, etag: None, fingerprint: None, format, compression };
        let mib = 1 << 20;
        assert!(Inflation::of(&source).add(256 * mib, 1).is_ok());
        assert!(Inflation::of(&source).add(500 * mib, 2 * mib as u64).is_ok());
        let error = Inflation::of(&source).add(300 * mib, mib as u64).unwrap_err();
        assert!(error.message.contains("a.fa.gz") && error.message.contains("250-fold"), "{error}");
    }
}
