//! Writes scores as Parquet.

use super::fetch::carried;
use super::metadata::{Counts, ScoresMetadata};
use super::parquet_schema::{METADATA_KEY, batch_of, schema};
use super::{ScoreRow, parquet_schema};
use crate::error::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::Serialize;
use std::io::{self, Write};

/// Rows that are encoded at a time. Fixed, and a divisor of the row group's, so that pages end at the same rows
/// however rows come in.
const BATCH_ROWS: usize = 8192;

/// Rows of a row group. A column of 8-byte values then takes 8 MiB: one ranged GET of a good size for each column,
/// and under 100 MiB held while a group is written.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Fixed, because it shapes the bytes; 3 is zstd's own default.
const ZSTD_LEVEL: i32 = 3;

pub(super) struct ParquetScores<W: Write + Send> {
    writer: ArrowWriter<W>,
    pending: Vec<ScoreRow>,
    metadata: ScoresMetadata,
}

/// The metadata as it lies in the file: the counts are known only at the end, where Parquet keeps it.
#[derive(Serialize)]
struct Footer<'a> {
    #[serde(flatten)]
    metadata: &'a ScoresMetadata,
    counts: &'a Counts,
}

impl<W: Write + Send> ParquetScores<W> {
    pub fn create(sink: W, metadata: ScoresMetadata) -> Result<Self> {
        let writer = ArrowWriter::try_new(sink, schema(), Some(properties()?)).map_err(write_failed)?;
        Ok(ParquetScores { writer, pending: Vec::with_capacity(BATCH_ROWS), metadata })
    }

    pub fn write(&mut self, row: &ScoreRow) -> Result<()> {
        self.pending.push(row.clone());
        if self.pending.len() == BATCH_ROWS { self.encode() } else { Ok(()) }
    }

    fn encode(&mut self) -> Result<()> {
        self.writer.write(&batch_of(&self.pending)?).map_err(write_failed)?;
        self.pending.clear();
        Ok(())
    }

    pub fn finish(mut self, counts: &Counts) -> Result<W> {
        if !self.pending.is_empty() {
            self.encode()?;
        }
        let footer = serde_json::to_string(&Footer { metadata: &self.metadata, counts })
            .map_err(|e| Error::internal("metadata of the scores").caused_by(e))?;
        self.writer.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_string(), footer));
        self.writer.into_inner().map_err(write_failed)
    }
}

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(write_failed)?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (name, _) in parquet_schema::COLUMNS {
        let column = ColumnPath::from(name);
        builder = match name {
            // Small numbers or small steps: a few bits each as differences.
            "source" | "position" | "residues" | "tokens" => {
                builder.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
            }
            // Random bits do not compress.
            "record_hash" => builder.set_column_compression(column, Compression::UNCOMPRESSED),
            // Sign and exponent repeat, mantissas do not: apart, the former compress.
            "loss" | "grad_norm" | "influence" => {
                builder.set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT)
            }
            _ => builder,
        };
    }
    Ok(builder.build())
}

fn write_failed(error: ParquetError) -> Error {
    parquet_failed(error, "write of the scores")
}

/// An error of the Parquet library: ours, if it carries one of ours, or a new one with that message.
pub fn parquet_failed(error: ParquetError, message: &'static str) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(io) => carried(*io, || Error::storage(message)),
            Err(source) => Error::internal(message).caused_by(source),
        },
        other => Error::internal(message).caused_by(other),
    }
}
