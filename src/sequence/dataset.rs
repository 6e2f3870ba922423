//! A dataset: its sources, checked when it is opened, and the stream of its records.

use super::detect::detect;
use super::fasta::FastaRecords;
use super::parquet::ParquetRecords;
use super::shard::{Part, parts};
use super::text::TextRecords;
use super::{Format, InputFormat, InputOptions, Record, Shard, Source};
use crate::error::{Code, Error, Result};
use crate::storage::{ObjectInfo, Storage};
use std::collections::HashSet;
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

    /// The records of a shard, or all, in (source, position) order. Reading runs ahead on a thread of its own.
    pub fn records(&self, shard: Option<Shard>) -> Records {
        self.records_after(shard, None)
    }

    /// The records of a shard, or all, that come after the one with this (source, position). What comes before is not
    /// read where the source can be read from there on.
    pub fn records_after(&self, shard: Option<Shard>, last: Option<(u32, u64)>) -> Records {
        let mut parts = parts(&self.sources, shard);
        if let Some((source, position)) = last {
            parts.retain(|part| part.source >= source as usize);
            for part in parts.iter_mut().filter(|part| part.source == source as usize) {
                let from = self.sources[part.source].place_of(position);
                part.range.start = part.range.start.max(from);
            }
        }
        Records { dataset: self.clone(), parts: parts.into_iter(), current: None, last }
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

/// The records of a dataset or of a shard of it. Ends after the first error.
pub struct Records {
    dataset: Dataset,
    parts: std::vec::IntoIter<Part>,
    current: Option<PartRecords>,
    /// Records up to this one are left out
    last: Option<(u32, u64)>,
}

type PartRecords = Box<dyn Iterator<Item = Result<Record>> + Send>;

impl Records {
    fn open(&self, part: Part) -> Result<Option<PartRecords>> {
        let Dataset { storage, sources, options } = &self.dataset;
        let source = &sources[part.source];
        let index =
            u32::try_from(part.source).map_err(|_| Error::usage("more than 4,294,967,295 input files"))?;
        Ok(match source.format {
            Format::Fasta => FastaRecords::open(storage, source, index, part.range)?
                .map(|records| Box::new(records) as PartRecords),
            Format::Text => Some(Box::new(TextRecords::open(storage, source, index, part.range)?)),
            Format::Parquet => {
                Some(Box::new(ParquetRecords::open(storage, source, index, part.range, options)?))
            }
        })
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.current.as_mut().and_then(Iterator::next) {
                match record {
                    Ok(record) if self.last >= Some((record.source, record.position)) => continue,
                    record => return record.map(Some),
                }
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            self.current = self.open(part)?;
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        let next = self.advance();
        if next.is_err() {
            self.current = None;
            self.parts = Vec::new().into_iter();
        }
        next.transpose()
    }
}
