//! Reads scores from Parquet: row groups side by side, and only the columns that are asked for.

use super::fetch::RandomRead;
use super::metadata::{Counts, ScoresMetadata};
use super::parquet_schema::{METADATA_KEY, check_schema};
use crate::error::{Error, Result};
use crate::sequence::decoded;
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataPushDecoder};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, available_parallelism};

/// Bytes at the end that are fetched first: the footer of a hundred million rows, so that one request opens a file.
const TAIL: u64 = 256 << 10;

/// Rows of a decoded batch: large enough for the decoder's loops, small enough for the caches.
const BATCH_ROWS: usize = 16_384;

/// Threads that decode row groups, each of which holds one as it is stored.
const MOST_READERS: usize = 4;

/// Batches that a thread is ahead by.
const AHEAD: usize = 4;

/// The rows of a batch, the end of a row group, or what ended the reading.
type Message<T> = Result<Option<Vec<T>>>;

/// A reading thread's end of what it shares with whoever reads: rows go there and come back as room for others. So the
/// memory of a batch stays with its thread and in the caches.
struct Outlet<T> {
    rows: SyncSender<Message<T>>,
    room: Receiver<Vec<T>>,
}

/// The other end.
struct Inlet<T> {
    rows: Receiver<Message<T>>,
    room: Sender<Vec<T>>,
}

/// An opened Parquet file of scores.
pub(super) struct ParquetFile {
    pub name: String,
    content: Arc<dyn RandomRead>,
    footer: ArrowReaderMetadata,
}

impl ParquetFile {
    pub fn open(name: &str, content: Arc<dyn RandomRead>) -> Result<(Self, ScoresMetadata, Counts)> {
        let metadata = read_footer(name, content.as_ref())?;
        let footer = || ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new());
        let footer = decoded(footer).map_err(|e| not_readable(name, e))?;
        let (metadata, counts) = embedded(name, footer.metadata())?;
        check_schema(name, footer.schema())?;
        Ok((ParquetFile { name: name.to_string(), content, footer }, metadata, counts))
    }

    /// Hands over what `append` makes of the given columns, in file order. Row groups are decoded by threads of their own, each
    /// of which is ahead by a few batches.
    pub fn read<T: Send>(
        &self,
        columns: &[usize],
        append: impl Fn(&RecordBatch, &mut Vec<T>) + Sync,
        visit: &mut dyn FnMut(&[T]) -> Result<()>,
    ) -> Result<()> {
        let groups = self.footer.metadata().num_row_groups();
        let readers = available_parallelism().map_or(1, usize::from).min(MOST_READERS).min(groups);
        let append = &append;
        thread::scope(|scope| {
            let inlets: Vec<Inlet<T>> = (0..readers)
                .map(|first| {
                    let ((rows, inlet_rows), (inlet_room, room)) = (sync_channel(AHEAD), channel());
                    let outlet = Outlet { rows, room };
                    scope.spawn(move || {
                        for group in (first..groups).step_by(readers) {
                            // Nobody reads any more if this fails.
                            if self.send(columns, group, append, &outlet).is_err() {
                                return;
                            }
                        }
                    });
                    Inlet { rows: inlet_rows, room: inlet_room }
                })
                .collect();
            for group in 0..groups {
                let inlet = &inlets[group % readers];
                loop {
                    let message = inlet.rows.recv();
                    match message.unwrap_or_else(|_| Err(Error::internal("a reader of scores died")))? {
                        Some(rows) => {
                            visit(&rows)?;
                            // A thread that has ended needs no room.
                            let _ = inlet.room.send(rows);
                        }
                        None => break,
                    }
                }
            }
            Ok(())
        })
    }

    /// Rows of each row group, as the footer tells.
    pub fn rows_of_groups(&self) -> impl Iterator<Item = u64> {
        let groups = self.footer.metadata().row_groups().iter();
        groups.map(|group| u64::try_from(group.num_rows()).unwrap_or_default())
    }

    /// Sends the rows of a row group, then `None`, or an error.
    fn send<T>(
        &self,
        columns: &[usize],
        group: usize,
        append: &impl Fn(&RecordBatch, &mut Vec<T>),
        outlet: &Outlet<T>,
    ) -> Result<(), SendError<Message<T>>> {
        let mut batches = match self.group(columns, group) {
            Ok(batches) => batches,
            Err(error) => return outlet.rows.send(Err(error)),
        };
        loop {
            let message = batches.next().map(|batch| {
                batch.map(|batch| {
                    let mut rows = outlet.room.try_recv().unwrap_or_default();
                    rows.clear();
                    append(&batch, &mut rows);
                    rows
                })
            });
            let last = !matches!(message, Ok(Some(_)));
            outlet.rows.send(message)?;
            if last {
                return Ok(());
            }
        }
    }

    /// The given columns of a row group.
    pub fn group(&self, columns: &[usize], group: usize) -> Result<GroupBatches<'_>> {
        let schema = self.footer.metadata().file_metadata().schema_descr();
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(self.footer.clone())
            .with_projection(ProjectionMask::leaves(schema, columns.iter().copied()))
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| not_readable(&self.name, error))?;
        Ok(GroupBatches { file: self, decoder })
    }
}

/// A row group, batch by batch.
pub(super) struct GroupBatches<'a> {
    file: &'a ParquetFile,
    decoder: ParquetPushDecoder,
}

impl GroupBatches<'_> {
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        let ParquetFile { name, content, .. } = self.file;
        let failed = |error| not_readable(name, error);
        loop {
            match decoded(|| self.decoder.try_decode()).map_err(failed)? {
                DecodeResult::NeedsData(ranges) => {
                    let bytes = fetch(name, content.as_ref(), &ranges)?;
                    self.decoder.push_ranges(ranges, bytes).map_err(failed)?;
                }
                DecodeResult::Data(batch) => return Ok(Some(batch)),
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

/// The bytes of ranges that a footer names, which may be damaged itself.
fn fetch(name: &str, content: &dyn RandomRead, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let size = content.size()?;
    if ranges.iter().any(|range| range.start > range.end || range.end > size) {
        return Err(Error::bad_input(format!("{name} is cut short")));
    }
    ranges.iter().map(|range| content.read_range(range.clone())).collect()
}

fn read_footer(name: &str, content: &dyn RandomRead) -> Result<ParquetMetaData> {
    let failed = |error| not_readable(name, error);
    let size = content.size()?;
    let tail = size.saturating_sub(TAIL)..size;
    let mut decoder = ParquetMetaDataPushDecoder::try_new(size).map_err(failed)?;
    decoder.push_range(tail.clone(), content.read_range(tail)?).map_err(failed)?;
    loop {
        match decoded(|| decoder.try_decode()).map_err(failed)? {
            DecodeResult::NeedsData(ranges) => {
                let bytes = fetch(name, content, &ranges)?;
                decoder.push_ranges(ranges, bytes).map_err(failed)?;
            }
            DecodeResult::Data(metadata) => return Ok(metadata),
            DecodeResult::Finished => return Err(Error::bad_input(format!("{name} has no Parquet footer"))),
        }
    }
}

/// The metadata and counts that the writer put in the footer.
fn embedded(name: &str, metadata: &ParquetMetaData) -> Result<(ScoresMetadata, Counts)> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let json = pairs
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY))
        .and_then(|pair| pair.value.as_deref())
        .ok_or_else(|| Error::bad_input(format!("{name} is Parquet, but not scores of bioprune")))?;
    let metadata = ScoresMetadata::from_json(name, json)?;
    let counts = serde_json::from_str::<Value>(json)
        .and_then(|value| serde_json::from_value(value["counts"].clone()))
        .map_err(|e| Error::bad_input(format!("{name}: counts in the metadata")).caused_by(e))?;
    Ok((metadata, counts))
}

fn not_readable(name: &str, error: ParquetError) -> Error {
    Error::bad_input(format!("{name} is not readable as Parquet")).caused_by(error)
}
