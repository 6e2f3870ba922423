//! Records into examples: the policies for records that cannot be scored as they are, and their counts.

use super::Counts;
use crate::error::{Error, Result};
use crate::sequence::{Dataset, InputOptions, OnBadRecord, OnLong, Record, Records};
use crate::tokenizer::Tokenizer;
use std::borrow::Cow;

/// (source, position) of a record.
pub(super) type Place = (u32, u64);

/// A record ready to be scored.
pub(super) struct Encoded {
    pub source: u32,
    pub position: u64,
    pub header: Vec<u8>,
    pub hash: u64,
    pub residues: u32,
    pub truncated: bool,
    pub tokens: Vec<u32>,
}

impl Encoded {
    pub fn place(&self) -> Place {
        (self.source, self.position)
    }

    pub fn id(&self) -> &[u8] {
        self.header.split(u8::is_ascii_whitespace).next().unwrap_or_default()
    }

    /// The id as text; bytes that are not UTF-8 are shown as U+FFFD.
    pub fn id_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.id())
    }
}

/// Reads, filters and tokenizes.
pub(super) struct Reading<'a> {
    dataset: &'a Dataset,
    records: Records,
    tokenizer: &'a Tokenizer,
    max_tokens: usize,
    options: &'a InputOptions,
    /// Up to the last record that was handed out
    counts: Counts,
    /// Since then
    pending: Counts,
}

impl<'a> Reading<'a> {
    pub fn new(
        dataset: &'a Dataset,
        records: Records,
        (tokenizer, max_tokens): (&'a Tokenizer, usize),
        options: &'a InputOptions,
    ) -> Self {
        let (counts, pending) = (Counts::default(), Counts::default());
        Reading { dataset, records, tokenizer, max_tokens, options, counts, pending }
    }

    /// What became of the records up to the last one that was handed out, since this was asked last.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// What became of the records since [`take_counts`](Reading::take_counts), those left out at the end among them.
    pub fn into_counts(mut self) -> Counts {
        self.counts.add(&self.pending);
        self.counts
    }

    /// The next record that `wanted` accepts and no policy leaves out. Only wanted records are counted.
    pub fn next(&mut self, mut wanted: impl FnMut(&Record) -> bool) -> Result<Option<Encoded>> {
        loop {
            let Some(record) = self.records.next().transpose()? else { return Ok(None) };
            if !wanted(&record) {
                continue;
            }
            if let Some(encoded) = self.encode(&record)? {
                self.counts.add(&std::mem::take(&mut self.pending));
                return Ok(Some(encoded));
            }
        }
    }

    fn encode(&mut self, record: &Record) -> Result<Option<Encoded>> {
        self.pending.records += 1;
        let max_tokens = self.max_tokens;
        let describe = || record.describe(self.dataset);
        let tokens = match self.tokenizer.encode(record.sequence(), max_tokens) {
            Ok(tokens) => tokens,
            Err(_) if self.options.on_illegal == OnBadRecord::Skip => return Ok(self.skip("illegal")),
            Err(illegal) => return Err(self.tokenizer.illegal(&describe(), illegal)),
        };
        self.pending.residues += u64::from(tokens.residues);
        if tokens.residues == 0 {
            return match self.options.on_empty {
                OnBadRecord::Skip => Ok(self.skip("empty")),
                OnBadRecord::Error => Err(Error::bad_input(format!(
                    "{}: it has no residues (--on-empty skip leaves such records out)",
                    describe()
                ))),
            };
        }
        if tokens.truncated {
            match self.options.on_long {
                OnLong::Truncate => self.pending.truncated += 1,
                OnLong::Skip => return Ok(self.skip("long")),
                OnLong::Error => {
                    return Err(Error::bad_input(format!(
                        "{}: it has {} residues; the model takes at most {} (--on-long truncate or skip)",
                        describe(),
                        tokens.residues,
                        max_tokens - 2
                    )));
                }
            }
        }
        self.pending.scored += 1;
        Ok(Some(Encoded {
            source: record.source,
            position: record.position,
            header: record.header().to_vec(),
            hash: record.hash(),
            residues: tokens.residues,
            truncated: tokens.truncated,
            tokens: tokens.ids,
        }))
    }

    fn skip(&mut self, reason: &str) -> Option<Encoded> {
        *self.pending.skipped.entry(reason.to_string()).or_default() += 1;
        None
    }
}
