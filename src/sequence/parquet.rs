//! Parquet records: a column of ids and a column of sequences, decoded on a thread that runs ahead.

use super::parquet_object::{ParquetObject, decoded};
use super::read_ahead::{Outlet, ReadAhead};
use super::record::{MAX_RECORD_BYTES, Record};
use super::{InputOptions, Source};
use crate::error::{Error, Result};
use crate::storage::Storage;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use std::ops::Range;
use std::vec::IntoIter;

/// Rows decoded at once, and batches of them that wait to be read.
const BATCH: usize = 1024;
const DEPTH: usize = 4;

/// The records of one part of a Parquet source.
pub(super) struct ParquetRecords {
    batches: ReadAhead<Vec<Record>>,
    batch: IntoIter<Record>,
}

impl ParquetRecords {
    /// The rows that belong to `range` of the source's bytes, as if all rows were of one length.
    pub(super) fn open(
        storage: &Storage,
        source: &Source,
        index: u32,
        range: Range<u64>,
        options: &InputOptions,
    ) -> Result<ParquetRecords> {
        let table = Table::open(storage, source, options)?;
        let batches = ReadAhead::spawn(DEPTH, move |outlet| table.send_rows(index, range, outlet))?;
        Ok(ParquetRecords { batches, batch: Vec::new().into_iter() })
    }

    /// The next record; none after the last, and after an error.
    pub(super) fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.batch.next() {
                return Ok(Some(record));
            }
            match self.batches.next().transpose()? {
                Some(batch) => self.batch = batch.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// Whether the file can be read at all: its footer is whole and it has the columns.
pub(super) fn check(storage: &Storage, source: &Source, options: &InputOptions) -> Result<()> {
    let table = Table::open(storage, source, options)?;
    match table.rows() {
        0 => Err(Error::bad_input(format!("{} has no rows", source.uri))),
        _ => Ok(()),
    }
}

struct Table {
    object: ParquetObject,
    metadata: ArrowReaderMetadata,
    source: Source,
    id_column: usize,
    sequence_column: usize,
}

impl Table {
    fn open(storage: &Storage, source: &Source, options: &InputOptions) -> Result<Table> {
        let object = ParquetObject::new(storage.clone(), source.info());
        // Without the Arrow schema in the metadata, all string-like columns read as plain strings or bytes.
        let reader_options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let load = || ArrowReaderMetadata::load(&object, reader_options);
        let metadata = decoded(load).map_err(|error| object.failure(error))?;
        let id_column = column(metadata.schema(), source, &options.id_column, "--id-column")?;
        let sequence_column =
            column(metadata.schema(), source, &options.sequence_column, "--sequence-column")?;
        Ok(Table { object, metadata, source: source.clone(), id_column, sequence_column })
    }

    /// The rows of each row group, as places in the file.
    fn groups(&self) -> impl Iterator<Item = Range<u64>> {
        self.metadata.metadata().row_groups().iter().scan(0u64, |start, group| {
            // a damaged file says what it likes
            let end = start.saturating_add(group.num_rows().max(0) as u64);
            Some(std::mem::replace(start, end)..end)
        })
    }

    fn rows(&self) -> u64 {
        self.groups().last().map_or(0, |group| group.end)
    }

    fn send_rows(self, index: u32, range: Range<u64>, outlet: &Outlet<Vec<Record>>) -> Result<()> {
        let rows = rows_of(range, self.source.size, self.rows());
        for (number, group) in self.groups().enumerate() {
            let wanted = rows.start.max(group.start)..rows.end.min(group.end);
            if !wanted.is_empty() && !self.send_group(number, &group, wanted, index, outlet)? {
                break;
            }
        }
        Ok(())
    }

    /// Sends the `wanted` rows of a row group; false where nobody takes them any more. A group that is wanted whole is
    /// held to the number of rows that the footer says, on which the shards of a file depend.
    fn send_group(
        &self,
        number: usize,
        group: &Range<u64>,
        wanted: Range<u64>,
        index: u32,
        outlet: &Outlet<Vec<Record>>,
    ) -> Result<bool> {
        let columns = [self.id_column, self.sequence_column];
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.object.clone(), self.metadata.clone())
                .with_batch_size(BATCH)
                .with_projection(ProjectionMask::roots(self.metadata.parquet_schema(), columns))
                .with_row_groups(vec![number]);
        if wanted != *group {
            builder = builder
                .with_offset((wanted.start - group.start) as usize)
                .with_limit((wanted.end - wanted.start) as usize);
        }
        let mut batches = decoded(|| builder.build()).map_err(|error| self.object.failure(error))?;
        // Projected columns keep their order in the file.
        let id_is_first = self.id_column <= self.sequence_column;
        let mut row = wanted.start;
        while let Some(batch) = decoded(|| batches.next().transpose().map_err(ParquetError::from))
            .map_err(|error| self.object.failure(error))?
        {
            let ids = values(&batch, if id_is_first { 0 } else { batch.num_columns() - 1 });
            let sequences = values(&batch, if id_is_first { batch.num_columns() - 1 } else { 0 });
            let mut records = Vec::with_capacity(batch.num_rows());
            for (id, sequence) in ids.zip(sequences) {
                records.push(record(&self.source, index, row, id, sequence)?);
                row += 1;
            }
            if row > wanted.end {
                break;
            }
            if !outlet.send(records) {
                return Ok(false);
            }
        }
        match row == wanted.end {
            true => Ok(true),
            false => Err(Error::bad_input(format!(
                "{}: row group {number} (counted from 0) holds other rows than the {} that the footer says",
                self.source.uri,
                group.end - group.start
            ))),
        }
    }
}

fn column(schema: &Schema, source: &Source, name: &str, flag: &str) -> Result<usize> {
    let uri = &source.uri;
    match schema.fields().iter().position(|field| field.name() == name) {
        None => {
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Err(Error::bad_input(format!(
                "{uri} has no column `{name}` ({flag}); it has {}",
                names.join(", ")
            )))
        }
        Some(index) => match schema.field(index).data_type() {
            DataType::Utf8 | DataType::Binary => Ok(index),
            other => Err(Error::bad_input(format!(
                "{uri}: column `{name}` ({flag}) holds {other}; allowed are strings and bytes"
            ))),
        },
    }
}

/// The rows whose place, in bytes of a file of equally long rows, lies in `range`: ranges that tile the file give rows
/// that tile it.
fn rows_of(range: Range<u64>, size: u64, rows: u64) -> Range<u64> {
    let bound = |byte: u64| (u128::from(byte) * u128::from(rows)).div_ceil(u128::from(size)) as u64;
    bound(range.start)..bound(range.end)
}

/// The values of a string or bytes column; a null reads as empty.
fn values(batch: &RecordBatch, column: usize) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    let array = batch.column(column);
    match array.data_type() {
        DataType::Utf8 => {
            Box::new(array.as_string::<i32>().iter().map(|value| value.unwrap_or_default().as_bytes()))
        }
        _ => Box::new(array.as_binary::<i32>().iter().map(Option::unwrap_or_default)),
    }
}

fn record(source: &Source, index: u32, row: u64, id: &[u8], sequence: &[u8]) -> Result<Record> {
    let bad =
        |what: &str| Err(Error::bad_input(format!("{}, row {row} (counted from 0): {what}", source.uri)));
    if id.len() + sequence.len() > MAX_RECORD_BYTES {
        return bad(&format!("longer than the {MAX_RECORD_BYTES} bytes allowed"));
    }
    if id.contains(&b'\n') || id.contains(&b'\r') {
        return bad("the id holds a line break");
    }
    let record = Record::row(index, row, id, sequence);
    if record.id().is_empty() { bad("a record without an id") } else { Ok(record) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_tile_a_file_give_rows_that_tile_it() {
        for (size, rows) in [(1000, 7), (1000, 1), (10, 400), (3, 3), (1000, 0)] {
            for parts in [1, 2, 3, 9] {
                let bound = |part: u64| size * part / parts;
                let mut end = 0;
                for part in 0..parts {
                    let range = rows_of(bound(part)..bound(part + 1), size, rows);
                    assert_eq!(range.start, end);
                    end = range.end;
                }
                assert_eq!(end, rows);
            }
        }
    }
}
