//! The embedding job: a reference model's hidden states, pooled or residue by residue, as Parquet.

use super::reading::Encoded;
use super::session::Session;
use super::workers::{Worker, in_order};
use super::{Context, Counts, ModelOptions, ObjectiveOptions, Stage};
use crate::batching::{PackedTokens, View};
use crate::error::{Error, Result};
use crate::influence::Objective;
use crate::model::{Model, Workspace};
use crate::scores::parquet_failed;
use crate::sequence::{InputOptions, Shard};
use crate::storage::Location;
use crate::tokenizer::Tokenizer;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use clap::Args;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// A row group is ended at this size: one that waits for its millionth row would hold gigabytes.
const ROW_GROUP_BYTES: usize = 64 << 20;
const METADATA_KEY: &str = "bioprune";

/// Write the reference model's hidden states of every record, as they enter its head.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct EmbedRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    pub inputs: Vec<String>,

    /// File to write (.parquet)
    #[arg(short, long)]
    pub output: String,

    /// A vector for each residue that the model sees, in place of their mean
    #[arg(long)]
    pub per_residue: bool,

    /// Only this part of the records: I/N, counted from 1
    #[arg(long)]
    pub shard: Option<Shard>,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbedSummary {
    /// URI of the embeddings file
    pub embeddings: String,
    /// Name of the model
    pub model: String,
    /// Numbers in a vector
    pub dimension: u64,
    pub counts: Counts,
    pub tokens: u64,
    pub tokens_per_second: f64,
    pub seconds: f64,
}

/// Embeds every record of the inputs, or of one shard of them.
pub fn embed(request: &EmbedRequest, context: &Context) -> Result<EmbedSummary> {
    let started = Instant::now();
    let output: Location = request.output.parse()?;
    if !output.file_name().ends_with(".parquet") {
        return Err(Error::usage(format!("output {output}: allowed are names ending in .parquet")));
    }
    // nothing is masked
    let objective = ObjectiveOptions { objective: Objective::Reconstruction, ..ObjectiveOptions::default() };
    let session = Session::open(context, &request.inputs, &request.input, &request.model, &objective)?;
    let dimension = session.model.head.hidden_size;

    let sink = context.storage.create(&output)?;
    let mut writer = EmbeddingsWriter::create(sink, request.per_residue, dimension)?;
    let mut reading = session.reading(request.shard);
    let worker = || Embedder::new(&session, request.per_residue);
    let workers = std::iter::repeat_with(worker).take(session.threads).collect();
    let mut tracker = session.tracker(Stage::Embed, None, request.shard, None);
    let next = || session.encoded(&mut reading, |_| true);
    in_order(workers, &context.cancel, next, |rows: Vec<Row>| {
        let tokens = rows.iter().map(|row| u64::from(row.tokens)).sum();
        writer.write(&rows)?;
        tracker.advance_to(rows.last().map(|row| row.record.place()), rows.len() as u64, tokens)
    })?;
    let (tokens, seconds) = tracker.finish();
    let counts = reading.into_counts();
    if counts.records == 0 && request.shard.is_none() {
        return Err(Error::bad_input("the inputs hold no record"));
    }
    let about = serde_json::json!({
        "tool_version": env!("CARGO_PKG_VERSION"),
        "model": session.model_reference(),
        "engine": session.placement.engine(),
        "per_residue": request.per_residue,
        "sources": session.dataset.sources(),
        "counts": counts,
    });
    writer.finish(about.to_string())?.commit()?;
    Ok(EmbedSummary {
        embeddings: output.to_string(),
        model: session.model.info.name.clone(),
        dimension: dimension as u64,
        counts,
        tokens,
        tokens_per_second: tokens as f64 / seconds.max(1e-9),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// One record's embedding.
pub(super) struct Row {
    pub record: Encoded,
    pub tokens: u32,
    /// `[1, d]`, or `[residues that the model sees, d]`
    pub vectors: Vec<f32>,
}

/// Computes embeddings, one for each record or for each residue.
pub(super) struct Embedder<'m> {
    model: &'m Model,
    per_residue: bool,
    packed: PackedTokens,
    workspace: Workspace,
}

impl<'m> Embedder<'m> {
    pub fn new(session: &'m Session, per_residue: bool) -> Self {
        let workspace = Workspace::new(session.context.cancel.clone());
        Embedder { model: &session.model, per_residue, packed: PackedTokens::default(), workspace }
    }
}

/// The tokens of a record that stand for its residues: the special ones stand around them.
pub(super) fn residues(ids: &[u32], tokenizer: &Tokenizer) -> Range<usize> {
    let first = usize::from(ids.first() == Some(&tokenizer.cls));
    first..ids.len() - usize::from(ids.last() == Some(&tokenizer.eos))
}

impl Worker for Embedder<'_> {
    type Batch = Vec<Encoded>;
    type Output = Vec<Row>;

    fn run(&mut self, batch: Self::Batch) -> Result<Self::Output> {
        let (d, tokenizer) = (self.model.head.hidden_size, &self.model.tokenizer);
        self.packed.clear();
        for record in &batch {
            self.packed.push(&View { input: record.tokens.clone(), positions: Vec::new(), pads: 0 });
        }
        self.model.encoder.encode(&self.packed, &mut self.workspace)?;
        let hidden = &self.workspace.hidden;
        let row = |(record, sequence): (Encoded, crate::batching::PackedSequence)| {
            let ids = &self.packed.ids[sequence.range.clone()];
            let within = residues(ids, tokenizer);
            let first = sequence.range.start;
            let states = &hidden[(first + within.start) * d..(first + within.end) * d];
            let vectors = if self.per_residue { states.to_vec() } else { mean(states, d) };
            Row { record, tokens: ids.len() as u32, vectors }
        };
        Ok(batch.into_iter().zip(self.packed.sequences()).map(row).collect())
    }
}

/// The mean of rows of `d` numbers; summed in f64 in their order.
fn mean(rows: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0f64; d];
    for row in rows.chunks_exact(d) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let n = (rows.len() / d).max(1) as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// The Parquet file: `source, position, id, record_hash, residues, truncated, embedding`.
struct EmbeddingsWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    per_residue: bool,
    dimension: usize,
}

impl<W: Write + Send> EmbeddingsWriter<W> {
    fn create(sink: W, per_residue: bool, dimension: usize) -> Result<Self> {
        let vector =
            DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, false)), dimension as i32);
        let embedding = match per_residue {
            true => DataType::List(Arc::new(Field::new("residue", vector, false))),
            false => vector,
        };
        let columns = [
            ("source", DataType::UInt32),
            ("position", DataType::UInt64),
            ("id", DataType::Utf8),
            ("record_hash", DataType::UInt64),
            ("residues", DataType::UInt32),
            ("truncated", DataType::Boolean),
            ("embedding", embedding),
        ];
        let fields = columns.map(|(name, data_type)| Field::new(name, data_type, false));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let level = ZstdLevel::try_new(1).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_dictionary_enabled(false)
            .build();
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties)).map_err(failed)?;
        Ok(EmbeddingsWriter { writer, schema, per_residue, dimension })
    }

    fn write(&mut self, rows: &[Row]) -> Result<()> {
        let (mut sources, mut positions) = (UInt32Builder::new(), UInt64Builder::new());
        let (mut ids, mut hashes) = (StringBuilder::new(), UInt64Builder::new());
        let (mut residues, mut truncated) = (UInt32Builder::new(), BooleanBuilder::new());
        for Row { record, .. } in rows {
            sources.append_value(record.source);
            positions.append_value(record.position);
            ids.append_value(record.id_text());
            hashes.append_value(record.hash);
            residues.append_value(record.residues);
            truncated.append_value(record.truncated);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(sources.finish()),
            Arc::new(positions.finish()),
            Arc::new(ids.finish()),
            Arc::new(hashes.finish()),
            Arc::new(residues.finish()),
            Arc::new(truncated.finish()),
            self.embeddings(rows),
        ];
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::internal("rows of embeddings").caused_by(error))?;
        self.writer.write(&batch).map_err(failed)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    fn embeddings(&self, rows: &[Row]) -> ArrayRef {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let vectors =
            FixedSizeListBuilder::new(Float32Builder::new(), self.dimension as i32).with_field(item.clone());
        if !self.per_residue {
            let mut vectors = vectors;
            for row in rows {
                vectors.values().append_slice(&row.vectors);
                vectors.append(true);
            }
            return Arc::new(vectors.finish());
        }
        let residue = Field::new("residue", DataType::FixedSizeList(item, self.dimension as i32), false);
        let mut lists = ListBuilder::new(vectors).with_field(residue);
        for row in rows {
            for vector in row.vectors.chunks_exact(self.dimension) {
                lists.values().values().append_slice(vector);
                lists.values().append(true);
            }
            lists.append(true);
        }
        Arc::new(lists.finish())
    }

    /// Ends the file with what it says of itself; hands the sink back, to be committed.
    fn finish(mut self, about: String) -> Result<W> {
        self.writer.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_string(), about));
        self.writer.into_inner().map_err(failed)
    }
}

fn failed(error: ParquetError) -> Error {
    parquet_failed(error, "write of the embeddings")
}
