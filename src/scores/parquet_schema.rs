//! The columns of a scores file in Parquet, and rows in and out of them.

use super::ScoreRow;
use crate::error::{Error, Result};
use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// The key of the file's metadata.
pub(super) const METADATA_KEY: &str = "bioprune";

/// Names and types, in order; no column holds nulls.
pub(super) const COLUMNS: [(&str, DataType); 10] = [
    ("source", DataType::UInt32),
    ("position", DataType::UInt64),
    ("id", DataType::Utf8),
    ("record_hash", DataType::UInt64),
    ("residues", DataType::UInt32),
    ("tokens", DataType::UInt32),
    ("truncated", DataType::Boolean),
    ("loss", DataType::Float32),
    ("grad_norm", DataType::Float32),
    ("influence", DataType::Float32),
];

/// The columns that a selection reads, by index.
pub(super) const CANDIDATE_COLUMNS: [usize; 5] = [0, 1, 3, 4, 9];

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(COLUMNS.map(|(name, data_type)| Field::new(name, data_type, false)).to_vec()))
}

/// Refuses a file whose columns are not those of scores.
pub(super) fn check_schema(name: &str, found: &Schema) -> Result<()> {
    for (column, data_type) in COLUMNS {
        match found.field_with_name(column) {
            Ok(field) if *field.data_type() == data_type && !field.is_nullable() => (),
            Ok(field) => {
                return Err(Error::bad_input(format!(
                    "{name}: column {column} is {}{}; scores have {data_type} there, without nulls",
                    field.data_type(),
                    if field.is_nullable() { " with nulls" } else { "" },
                )));
            }
            Err(_) => {
                return Err(Error::bad_input(format!(
                    "{name}: scores need a column {column}, which is missing"
                )));
            }
        }
    }
    let order = found.fields().iter().map(|field| field.name().as_str());
    if !order.eq(COLUMNS.iter().map(|(column, _)| *column)) {
        let names = COLUMNS.map(|(column, _)| column).join(", ");
        return Err(Error::bad_input(format!("{name}: the columns of scores are exactly {names}")));
    }
    Ok(())
}

/// The rows as one batch.
pub(super) fn batch_of(rows: &[ScoreRow]) -> Result<RecordBatch> {
    fn column<T: ArrowPrimitiveType>(rows: &[ScoreRow], value: impl Fn(&ScoreRow) -> T::Native) -> ArrayRef {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(rows.len());
        rows.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    }
    let mut ids = StringBuilder::with_capacity(rows.len(), rows.iter().map(|row| row.id.len()).sum());
    let mut truncated = BooleanBuilder::with_capacity(rows.len());
    for row in rows {
        ids.append_value(&row.id);
        truncated.append_value(row.truncated);
    }
    let columns: Vec<ArrayRef> = vec![
        column::<UInt32Type>(rows, |row| row.source),
        column::<UInt64Type>(rows, |row| row.position),
        Arc::new(ids.finish()),
        column::<UInt64Type>(rows, |row| row.record_hash),
        column::<UInt32Type>(rows, |row| row.residues),
        column::<UInt32Type>(rows, |row| row.tokens),
        Arc::new(truncated.finish()),
        column::<Float32Type>(rows, |row| row.loss),
        column::<Float32Type>(rows, |row| row.grad_norm),
        column::<Float32Type>(rows, |row| row.influence),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|e| Error::internal("columns of the scores").caused_by(e))
}

/// Appends the rows of a batch of all columns.
pub(super) fn append_rows(batch: &RecordBatch, rows: &mut Vec<ScoreRow>) {
    let small = |i: usize| batch.column(i).as_primitive::<UInt32Type>().values();
    let large = |i: usize| batch.column(i).as_primitive::<UInt64Type>().values();
    let real = |i: usize| batch.column(i).as_primitive::<Float32Type>().values();
    let ids = batch.column(2).as_string::<i32>();
    let truncated = batch.column(6).as_boolean();
    rows.extend((0..batch.num_rows()).map(|row| ScoreRow {
        source: small(0)[row],
        position: large(1)[row],
        id: ids.value(row).into(),
        record_hash: large(3)[row],
        residues: small(4)[row],
        tokens: small(5)[row],
        truncated: truncated.value(row),
        loss: real(7)[row],
        grad_norm: real(8)[row],
        influence: real(9)[row],
    }));
}
