//! A dataset: its sources, checked when it is opened, and the stream of its records.

use super::detect::detect;
use super::fasta::FastaRecords;
use super::parquet::ParquetRecords;
use super::shard::{Extent, Part, parts};
use super::text::TextRecords;
use super::{Format, InputFormat, InputOptions, Record, Shard, Source};
use crate::error::{Code, Error, Result};
use crate::storage::{ObjectInfo, Storage};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::thread;

/// Files looked at at once when a dataset is opened: hides the latency of a store.
const LOOKS: usize = 16;

/// Sequence inputs, in order, each in the version that it had when the dataset was opened. Clones are cheap.
#[derive(Clone)]
pub struct Dataset {
    storage: Storage,
    sources: Arc<[Source]>,
    options: InputOptions,
}

impl Dataset {
    /// Opens inputs (files, directories, prefixes, globs), in the order given, each sorted by name; tells their
    /// format and compression from their content.
    ///
    /// # Errors
    /// `InputNotFound`; `BadInput` for what is empty, cut, or in a form that is not allowed; `Usage` if a file is
    /// named twice.
    pub fn open(storage: &Storage, inputs: &[String], options: &InputOptions) -> Result<Dataset> {
        let mut objects = Vec::new();
        let mut seen = HashSet::new();
        for input in inputs {
            for info in storage.list(input)? {
                if !seen.insert(info.location.clone()) {
                    return Err(Error::usage(format!("{} is named twice among the inputs", info.location)));
                }
                objects.push(info);
            }
        }
        if objects.is_empty() {
            return Err(Error::usage("no input was named"));
        }
        let sources = detect_all(storage, &objects, options)?;
        Ok(Dataset::of(storage, sources, options))
    }

    /// Opens exactly these versions of these sources, as recorded with scores.
    ///
    /// # Errors
    /// `SourceChanged` if a source has another size or ETag now; `InputNotFound`.
    pub fn from_sources(storage: &Storage, sources: &[Source], options: &InputOptions) -> Result<Dataset> {
        for source in sources {
            let now = storage.stat(&source.uri)?;
            if (now.size, &now.etag) != (source.size, &source.etag) {
                return Err(Error::new(
                    Code::SourceChanged,
                    format!(
                        "{} is not what it was: {} then, {} now",
                        source.uri,
                        version(source.size, &source.etag),
                        version(now.size, &now.etag)
                    ),
                ));
            }
        }
        Ok(Dataset::of(storage, sources.to_vec(), options))
    }

    /// Opens inputs that hold the same files as `sources`, in the same order, elsewhere: formats and sizes must match,
    /// and the fingerprints of local files; names and ETags need not.
    ///
    /// # Errors
    /// As [`open`](Dataset::open), and `SourceChanged` if a file is not the recorded one.
    pub fn open_moved(
        storage: &Storage,
        inputs: &[String],
        sources: &[Source],
        options: &InputOptions,
    ) -> Result<Dataset> {
        let input_format = match sources.first().map(|source| source.format) {
            Some(Format::Text) => InputFormat::Text,
            _ => options.input_format,
        };
        let dataset = Dataset::open(storage, inputs, &InputOptions { input_format, ..options.clone() })?;
        let changed = |message| Err(Error::new(Code::SourceChanged, message));
        if dataset.sources.len() != sources.len() {
            let (found, expected) = (dataset.sources.len(), sources.len());
            return changed(format!("{found} sequence files were found, where the scores are of {expected}"));
        }
        for (found, expected) in dataset.sources.iter().zip(sources) {
            let form = |source: &Source| (source.size, source.format, source.compression);
            let told_apart = found.fingerprint.is_some()
                && expected.fingerprint.is_some()
                && found.fingerprint != expected.fingerprint;
            if told_apart || form(found) != form(expected) {
                return changed(format!(
                    "{} ({} bytes) is not the scored {} ({} bytes)",
                    found.uri, found.size, expected.uri, expected.size
                ));
            }
        }
        Ok(dataset)
    }

    fn of(storage: &Storage, sources: Vec<Source>, options: &InputOptions) -> Dataset {
        Dataset { storage: storage.clone(), sources: sources.into(), options: options.clone() }
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What tells how far a reading of a shard, or of all, is.
    pub fn extent(&self, shard: Option<Shard>) -> Extent {
        Extent::new(&self.sources, shard)
    }

    /// The records of a shard, or all, in (source, position) order. Reading runs ahead on a thread of its own.
    pub fn records(&self, shard: Option<Shard>) -> Records {
        self.records_after(shard, None)
    }

    /// The records of a shard, or all, that come after the one with this (source, position). What comes before is not
    /// read where the source can be read from there on.
    pub fn records_after(&self, shard: Option<Shard>, last: Option<(u32, u64)>) -> Records {
        let from = last.map_or((0, 0), |(source, position)| (source, position + 1));
        let parts = parts(&self.sources, shard).into();
        let mut records = Records { dataset: self.clone(), parts, current: None, from, far: FAR };
        records.pass_over(from.0, from.1);
        records
    }
}

fn version(size: u64, etag: &Option<String>) -> String {
    format!("{size} bytes, ETag {}", etag.as_deref().unwrap_or("none"))
}

fn detect_all(storage: &Storage, objects: &[ObjectInfo], options: &InputOptions) -> Result<Vec<Source>> {
    let share = objects.len().div_ceil(LOOKS);
    let look = |objects: &[ObjectInfo]| -> Result<Vec<Source>> {
        objects.iter().map(|info| detect(storage, info.clone(), options)).collect()
    };
    thread::scope(|scope| {
        let shares: Vec<_> =
            objects.chunks(share).map(|objects| scope.spawn(move || look(objects))).collect();
        let mut sources = Vec::with_capacity(objects.len());
        for share in shares {
            sources.extend(share.join().map_err(|_| Error::internal("looking at an input failed"))??);
        }
        Ok(sources)
    })
}

/// The records of one part of a source, in order.
enum PartRecords {
    Fasta(Box<FastaRecords>),
    Text(Box<TextRecords>),
    Parquet(Box<ParquetRecords>),
}

impl PartRecords {
    /// The next record; none after the last, and after an error.
    #[inline]
    fn advance(&mut self) -> Result<Option<Record>> {
        match self {
            PartRecords::Fasta(records) => records.advance(),
            PartRecords::Text(records) => records.advance(),
            PartRecords::Parquet(records) => records.advance(),
        }
    }

    /// Records at lesser positions are of no use any more: they may be left out.
    fn pass_over(&mut self, position: u64) {
        if let PartRecords::Fasta(records) = self {
            records.pass_over(position);
        }
    }
}

/// The records of a dataset or of a shard of it. Ends after the first error.
pub struct Records {
    dataset: Dataset,
    /// Those that are still to be read; the first is being read where there is a `current`
    parts: VecDeque<Part>,
    current: Option<PartRecords>,
    /// Records before this (source, position) are left out, or were handed on
    from: (u32, u64),
    /// [`FAR`], but for tests
    pub(super) far: u64,
}

/// So many bytes of a file are gone through rather than passed over: opening it anew takes a request of a store as well.
const FAR: u64 = 16 << 20;

impl Records {
    /// The next record at that (source, position) or after it. What lies before is not read where the source can be read
    /// from near there on, and not taken apart where it cannot.
    pub fn next_from(&mut self, source: u32, position: u64) -> Option<Result<Record>> {
        self.pass_over(source, position);
        self.next()
    }

    fn pass_over(&mut self, source: u32, position: u64) {
        let before = self.from;
        self.from = before.max((source, position));
        let (source, position) = self.from;
        while self.parts.front().is_some_and(|part| part.source < source as usize) {
            self.parts.pop_front();
            self.current = None;
        }
        let Some(part) = self.parts.front_mut().filter(|part| part.source == source as usize) else { return };
        let opened = &self.dataset.sources[part.source];
        let near = opened.place_before(position);
        let read = if before.0 == source { opened.place_before(before.1) } else { 0 };
        match &mut self.current {
            Some(current) if near < read.max(part.range.start).saturating_add(self.far) => {
                current.pass_over(position);
            }
            _ => {
                part.range.start = part.range.start.max(near);
                self.current = None;
            }
        }
    }

    fn open(&self, part: &Part) -> Result<Option<PartRecords>> {
        let Dataset { storage, sources, options } = &self.dataset;
        let (source, range) = (&sources[part.source], part.range.clone());
        let index =
            u32::try_from(part.source).map_err(|_| Error::usage("more than 4,294,967,295 input files"))?;
        Ok(match source.format {
            Format::Fasta => FastaRecords::open(storage, source, index, range)?
                .map(|records| PartRecords::Fasta(Box::new(records))),
            Format::Text => {
                Some(PartRecords::Text(Box::new(TextRecords::open(storage, source, index, range)?)))
            }
            Format::Parquet => Some(PartRecords::Parquet(Box::new(ParquetRecords::open(
                storage, source, index, range, options,
            )?))),
        })
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.advance()? {
                    Some(record) if (record.source, record.position) < self.from => continue,
                    Some(record) => {
                        self.from = (record.source, record.position + 1);
                        return Ok(Some(record));
                    }
                    None => {
                        self.current = None;
                        self.parts.pop_front();
                    }
                }
            }
            let Some(part) = self.parts.front() else { return Ok(None) };
            match self.open(part)? {
                None => drop(self.parts.pop_front()),
                Some(mut opened) => {
                    if part.source == self.from.0 as usize {
                        opened.pass_over(self.from.1);
                    }
                    self.current = Some(opened);
                }
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        match self.advance() {
            Ok(Some(record)) => Some(Ok(record)),
            Ok(None) => None,
            Err(error) => {
                self.current = None;
                self.parts.clear();
                Some(Err(error))
            }
        }
    }
}
