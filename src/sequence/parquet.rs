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
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
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
}

impl Iterator for ParquetRecords {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        loop {
            if let Some(record) = self.batch.next() {
                return Some(Ok(record));
            }
            match self.batches.next()? {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => return Some(Err(error)),
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
    builder: ParquetRecordBatchReaderBuilder<ParquetObject>,
    source: Source,
    id_column: usize,
    sequence_column: usize,
}

impl Table {
    fn open(storage: &Storage, source: &Source, options: &InputOptions) -> Result<Table> {
        let object = ParquetObject::new(storage.clone(), source.info());
        // Without the Arrow schema in the metadata, all string-like columns read as plain strings or bytes.
        let reader_options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let open = || ParquetRecordBatchReaderBuilder::try_new_with_options(object.clone(), reader_options);
        let builder = decoded(open).map_err(|error| object.failure(error))?;
        let id_column = column(builder.schema(), source, &options.id_column, "--id-column")?;
        let sequence_column =
            column(builder.schema(), source, &options.sequence_column, "--sequence-column")?;
        Ok(Table { object, builder, source: source.clone(), id_column, sequence_column })
    }

    fn rows(&self) -> u64 {
        let groups = self.builder.metadata().row_groups().iter();
        // a damaged file says what it likes
        groups.map(|group| group.num_rows().max(0) as u64).fold(0, u64::saturating_add)
    }

    fn send_rows(self, index: u32, range: Range<u64>, outlet: &Outlet<Vec<Record>>) -> Result<()> {
        let rows = rows_of(range, self.source.size, self.rows());
        if rows.is_empty() {
            return Ok(());
        }
        let (groups, first_row) = groups_of(&self.builder, &rows);
        let mask =
            ProjectionMask::roots(self.builder.parquet_schema(), [self.id_column, self.sequence_column]);
        let builder = self
            .builder
            .with_batch_size(BATCH)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_offset((rows.start - first_row) as usize)
            .with_limit((rows.end - rows.start) as usize);
        let mut batches = decoded(|| builder.build()).map_err(|error| self.object.failure(error))?;
        // Projected columns keep their order in the file.
        let id_is_first = self.id_column <= self.sequence_column;
        let mut row = rows.start;
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
            if !outlet.send(records) {
                return Ok(());
            }
        }
        Ok(())
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

/// The row groups that hold `rows`, and the first row of the first of them.
fn groups_of(
    builder: &ParquetRecordBatchReaderBuilder<ParquetObject>,
    rows: &Range<u64>,
) -> (Vec<usize>, u64) {
    let mut groups = Vec::new();
    let mut first_row = 0;
    let mut start = 0u64;
    for (index, group) in builder.metadata().row_groups().iter().enumerate() {
        let end = start.saturating_add(group.num_rows().max(0) as u64);
        if start < rows.end && rows.start < end {
            if groups.is_empty() {
                first_row = start;
            }
            groups.push(index);
        }
        start = end;
    }
    (groups, first_row)
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
