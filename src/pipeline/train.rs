//! The training job: records in, a model and its losses out.

use super::reading::Reading;
use super::{Context, TrainSummary, session};
use crate::error::Result;
use crate::model;
use crate::sequence::{Dataset, Record};
use crate::storage::{Location, io_error};
use crate::train::{
    self, Corpus, EncodedRecord, Observer, Precision, Splitter, TrainRequest, TrainedModel, TrainingDevice,
};
use std::io::Write;

/// Trains a masked language model and writes it; `follow` is told how the training goes.
///
/// The model is written at each checkpoint as well: a training that is stopped leaves the last one.
pub fn train(
    request: &TrainRequest,
    context: &Context,
    follow: &mut dyn FnMut(&train::Progress),
) -> Result<TrainSummary> {
    let output: Location = request.output.parse()?;
    let (device, told) = TrainingDevice::settle(request.device, session::threads(request.threads))?;
    log::info!("training {told}");
    let (start, tokenizer) = match &request.init {
        Some(model) => TrainedModel::from_weights(model::open(model, &context.storage)?.0)?,
        None => request.random()?,
    };
    start.check_file()?;
    let max_tokens = start.architecture.dimensions.max_positions;
    let dataset = Dataset::open(&context.storage, &request.inputs, &request.input)?;
    let mut reading = Reading::new(&dataset, dataset.records(None), (&tokenizer, max_tokens), &request.input);
    let (split, shares) = (&request.split, request.shares());
    let mut splitter = Splitter::open(split, shares, request.seed, &context.storage, dataset.sources())?;
    let (mut records, mut sequence) = (Vec::new(), Vec::new());
    while let Some(record) = reading.next(|record| keep_sequence(record, &mut sequence))? {
        context.cancel.check()?;
        splitter.add((record.source, &record.header, &sequence), record.hash)?;
        records.push(EncodedRecord { hash: record.hash, tokens: record.tokens, group: 0 });
    }
    let corpus = Corpus::split(records, splitter)?;
    let mut observer = Following { context, precision: request.precision(), output: &output, follow };
    let (trained, report) = train::train(request, &tokenizer, &corpus, start, &device, &mut observer)?;
    save(&trained, request.precision(), &output, context)?;
    Ok(TrainSummary { model: output.to_string(), report })
}

/// Keeps a record's residues, which groups may be told by.
pub(super) fn keep_sequence(record: &Record, sequence: &mut Vec<u8>) -> bool {
    sequence.clear();
    sequence.extend_from_slice(record.sequence());
    true
}

struct Following<'a> {
    context: &'a Context,
    precision: Precision,
    output: &'a Location,
    follow: &'a mut dyn FnMut(&train::Progress),
}

impl Observer for Following<'_> {
    fn check(&self) -> Result<()> {
        self.context.cancel.check()
    }

    fn progress(&mut self, progress: &train::Progress) {
        (self.follow)(progress);
    }

    fn checkpoint(&mut self, model: &TrainedModel) -> Result<()> {
        save(model, self.precision, self.output, self.context)
    }
}

fn save(model: &TrainedModel, precision: Precision, output: &Location, context: &Context) -> Result<()> {
    let mut writer = context.storage.create(output)?;
    writer.write_all(&model.to_safetensors(precision)?).map_err(|error| io_error(output, error))?;
    writer.commit()?;
    Ok(())
}
