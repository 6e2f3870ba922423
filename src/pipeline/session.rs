//! What curvature and scoring share: a model, a dataset, and records going through the workers in batches.

use super::choose::{AUTO, check_kind, choose};
use super::kept::Kept;
use super::memory::{self, Need};
use super::parts::{Found, place};
use super::passes::{ScoreWorker, ScoredBatch};
use super::reading::{Encoded, Place, Reading};
use super::sample::Draw;
use super::tracker::Tracker;
use super::workers::in_order;
use super::{Context, Counts, ModelOptions, ObjectiveOptions, SampleOptions, Stage};
use crate::batching::Example;
use crate::error::{Error, Result};
use crate::influence::{
    Curvature, CurvatureMetadata, Engine, Estimator, ModelReference, Objective, PAPER_TOKENS, Sample, Task,
};
use crate::model::{self, Model, ModelInfo, Placement, Weights, family};
use crate::report::quantity::counted;
use crate::scores::ScoreRow;
use crate::sequence::{Dataset, InputOptions, Shard};
use crate::tokenizer::{self, Alphabet};
use crate::train::{self, EncodedRecord, Observer, Precision, TrainedModel, TrainingDevice};
use std::sync::OnceLock;
use std::thread::available_parallelism;

/// Threads that prepare batches for a GPU: one is computed, one waits for it, one is made.
const GPU_WORKERS: usize = 3;

/// A model and a dataset, opened for one job.
pub(super) struct Session<'a> {
    pub context: &'a Context,
    pub model: Model,
    pub placement: Placement,
    pub dataset: Dataset,
    pub task: Task,
    pub threads: usize,
    input: &'a InputOptions,
    max_batch_tokens: usize,
    /// Bytes that gradients of the curvature sample may take in a temporary file
    pub scratch: u64,
    /// Records of the dataset, once a pass has counted them
    pub records: OnceLock<u64>,
    /// The curvature sample, once it is drawn
    drawn: OnceLock<(Sample, Draw)>,
}

impl<'a> Session<'a> {
    pub fn open(
        context: &'a Context,
        inputs: &[String],
        input: &'a InputOptions,
        model: &ModelOptions,
        objective: &ObjectiveOptions,
    ) -> Result<Self> {
        let (placement, told) = Placement::settle(model.device, model.precision, model.max_batch_tokens)?;
        let load = |name: &str| {
            log::info!("{name} computes {told}");
            let mut loaded = model::load(name, &context.storage, &placement)?;
            if objective.objective == Objective::PaperCode {
                as_published(&mut loaded)?;
            }
            Ok::<_, Error>(loaded)
        };
        // A model that was named is loaded first: it fails before anything is read.
        let (loaded, dataset) = match &model.model[..] {
            AUTO => {
                let dataset = Dataset::open(&context.storage, inputs, input)?;
                (load(choose(&dataset)?)?, dataset)
            }
            name => {
                let model = load(name)?;
                let dataset = Dataset::open(&context.storage, inputs, input)?;
                // An RNA model's own alphabet refuses proteins, unless all letters are taken as published.
                let alphabet = model.tokenizer.alphabet;
                if alphabet == Alphabet::AminoAcids || objective.objective == Objective::PaperCode {
                    check_kind(&dataset, name, alphabet)?;
                }
                (model, dataset)
            }
        };
        let task =
            Task { objective: objective.objective, mask_passes: objective.mask_passes, seed: objective.seed };
        let (threads, max_batch_tokens) = width(model, &loaded, &task);
        // a GPU computes a gradient in less time than a disk gives it back
        let scratch = if placement.is_gpu() { 0 } else { model.scratch_mib << 20 };
        Ok(Session {
            context,
            model: loaded,
            placement,
            dataset,
            task,
            threads,
            input,
            max_batch_tokens,
            scratch,
            records: OnceLock::new(),
            drawn: OnceLock::new(),
        })
    }

    /// Fine-tunes the model for one epoch on the curvature sample, which is the same in all shards.
    pub fn adapt(&mut self, sample: Sample) -> Result<()> {
        let name = &self.model.info.name.clone();
        let seed = self.task.seed;
        let draw = self.draw(sample)?;
        let mut reading = self.reading(None);
        let mut records = Vec::new();
        while let Some(record) = reading.next(|record| draw.holds(record, seed))? {
            records.push(EncodedRecord { hash: record.hash, tokens: record.tokens, group: 0 });
        }
        let (weights, status) = model::open(name, &self.context.storage)?;
        let (start, tokenizer) = TrainedModel::from_weights(weights)?;
        let mut observer =
            AdaptObserver(Tracker::new(self.context, Stage::Adapt, Some(records.len() as u64)));
        let device = TrainingDevice::Cpu { threads: self.threads };
        let adapted = train::adapt(start, &self.model.tokenizer, &records, seed, &device, &mut observer)?;
        observer.0.finish();
        let weights = Weights::held(name, adapted.to_safetensors(Precision::F32)?)?;
        let read = family::Read { architecture: adapted.architecture, tokenizer };
        let adapted = family::build(name, status, read, weights, &self.placement)?;
        let info = ModelInfo { digest: adapted.info.digest, ..self.model.info.clone() };
        // The tokenizer stays: paper-code has one of its own.
        self.model = Model { info, tokenizer: self.model.tokenizer.clone(), ..adapted };
        Ok(())
    }

    pub fn model_reference(&self) -> ModelReference {
        ModelReference { name: self.model.info.name.clone(), digest: self.model.info.digest.clone() }
    }

    pub fn curvature_metadata(&self, sample: &SampleOptions, shard: Option<Shard>) -> CurvatureMetadata {
        CurvatureMetadata {
            schema_version: CurvatureMetadata::SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_string(),
            model: self.model_reference(),
            engine: self.placement.engine().to_string(),
            objective: self.task.objective,
            mask_passes: self.task.mask_passes,
            seed: self.task.seed,
            form: sample.curvature_form,
            sample: sample.sample,
            input: self.input.clone(),
            sources: self.dataset.sources().to_vec(),
            shard,
        }
    }

    pub fn draw(&self, sample: Sample) -> Result<Draw> {
        if let Some((_, draw)) = self.drawn.get().filter(|(drawn, _)| *drawn == sample) {
            return Ok(*draw);
        }
        let (draw, records) = Draw::new(sample, self.task.seed, &self.dataset, self.context)?;
        if let Some(records) = records {
            self.records.get_or_init(|| records);
        }
        self.drawn.get_or_init(|| (sample, draw));
        Ok(draw)
    }

    /// Scores the records of a shard that come after what is `found`; hands the rows over in input order, with what became
    /// of the records up to the last of them. Gives the counts of the records left out at the end, the tokens of those
    /// scored and the seconds it took, with those of what was kept for it.
    pub fn score(
        &self,
        (curvature, kept): (&Curvature, &Kept),
        estimator: Estimator,
        shard: Option<Shard>,
        found: &Found,
        mut write: impl FnMut(&[ScoreRow], &Counts) -> Result<()>,
    ) -> Result<(Counts, u64, f64)> {
        let mut reading = self.reading_after(shard, found.last);
        let engine = Engine::new(&self.model)?;
        let worker = |_| {
            let scorer = engine.scorer(curvature, estimator, self.context.cancel.clone())?;
            Ok(ScoreWorker { scorer, hidden_size: self.model.head.hidden_size, kept, numbers: Vec::new() })
        };
        let workers = (0..self.threads).map(worker).collect::<Result<_>>()?;
        let left = self.records.get().map(|all| all.saturating_sub(found.counts.records));
        let left = left.filter(|_| shard.is_none());
        let mut tracker = self.tracker(Stage::Score, left, shard, found.last);
        let next = || {
            let batch = self.batch(&mut reading, |_| true, |encoded, example| (encoded, example))?;
            Ok(batch.map(|records| (records, reading.take_counts())))
        };
        in_order(workers, &self.context.cancel, next, |scored: ScoredBatch| {
            write(&scored.rows, &scored.counts)?;
            let last = scored.rows.last().map(place);
            tracker.advance_to(last, scored.counts.records, scored.tokens)
        })?;
        let (tokens, seconds) = tracker.finish();
        Ok((reading.into_counts(), tokens, seconds + kept.seconds))
    }

    /// Counts the records of a shard, or all, that go through the encoder batch by batch, after the one at `last`.
    pub fn tracker(
        &self,
        stage: Stage,
        total_records: Option<u64>,
        shard: Option<Shard>,
        last: Option<Place>,
    ) -> Tracker<'_> {
        Tracker::new(self.context, stage, total_records)
            .through(self.dataset.extent(shard), last)
            .in_batches(self.max_batch_tokens * self.task.passes())
    }

    pub fn reading(&self, shard: Option<Shard>) -> Reading<'_> {
        self.reading_after(shard, None)
    }

    pub fn reading_after(&self, shard: Option<Shard>, last: Option<Place>) -> Reading<'_> {
        let encoding = (&self.model.tokenizer, self.model.info.max_tokens as usize);
        Reading::new(&self.dataset, self.dataset.records_after(shard, last), encoding, self.input)
    }

    /// The next wanted records, as many as the token budget holds, at least one; `None` at the end.
    pub fn encoded(
        &self,
        reading: &mut Reading,
        mut wanted: impl FnMut(&crate::sequence::Record) -> bool,
    ) -> Result<Option<Vec<Encoded>>> {
        let (mut batch, mut tokens) = (Vec::new(), 0);
        while tokens < self.max_batch_tokens {
            let Some(encoded) = reading.next(&mut wanted)? else { break };
            tokens += encoded.tokens.len();
            batch.push(encoded);
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// The same as examples of the task.
    pub fn batch<T>(
        &self,
        reading: &mut Reading,
        wanted: impl FnMut(&crate::sequence::Record) -> bool,
        item: impl Fn(Encoded, Example) -> T,
    ) -> Result<Option<Vec<T>>> {
        let example = |mut encoded: Encoded| {
            let tokens = std::mem::take(&mut encoded.tokens);
            item(encoded, self.task.example(tokens, &self.model.tokenizer))
        };
        let records = self.encoded(reading, wanted)?;
        Ok(records.map(|records| records.into_iter().map(example).collect()))
    }
}

/// Has a model read records as the published program does, which is defined for RNA-FM alone.
fn as_published(model: &mut Model) -> Result<()> {
    let published = tokenizer::rna_fm_as_published();
    if model.tokenizer.vocabulary != published.vocabulary || (model.info.max_tokens as usize) < PAPER_TOKENS {
        return Err(Error::usage(format!(
            "objective paper-code is the published program's, for RNA-FM in its official form with {PAPER_TOKENS} \
             positions; {} is of family {} with {} tokens and {} positions",
            model.info.name, model.info.family, model.info.vocabulary, model.info.max_tokens
        )));
    }
    model.tokenizer = published;
    model.info.max_tokens = PAPER_TOKENS as u32;
    Ok(())
}

/// Tells how far a fine-tuning of one epoch is, and ends it once the job is canceled.
struct AdaptObserver<'a>(Tracker<'a>);

impl Observer for AdaptObserver<'_> {
    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn progress(&mut self, progress: &train::Progress) {
        self.0.set_share((progress.step, progress.steps), progress.tokens);
    }
}

/// The threads asked for, or for 0 as many as the machine, its cgroup quota and its affinity mask grant.
pub(super) fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { available_parallelism().map_or(1, usize::from) }
}

/// Threads, and the tokens of a batch's records: on the CPU as many of those asked for as the memory holds, on a GPU what
/// it takes at once, and the threads that keep it busy.
fn width(options: &ModelOptions, model: &Model, task: &Task) -> (usize, usize) {
    let asked = (threads(options.threads), options.max_batch_tokens.max(1));
    let fitting = match (model.encoder.batch_tokens(), memory::free()) {
        (Some(tokens), _) => (asked.0.min(GPU_WORKERS), (tokens / task.passes()).max(1)),
        (None, Some(free)) => Need::of_hidden_size(model.head.hidden_size).fit(free, asked.0, asked.1),
        (None, None) => asked,
    };
    let told = |(threads, tokens): (usize, usize)| {
        format!("{} and batches of {tokens} tokens", counted(threads as u64, "thread"))
    };
    if fitting == asked || model.encoder.batch_tokens().is_some() {
        log::info!("{}", told(fitting));
    } else {
        log::warn!("the memory granted here does not hold {}: {}", told(asked), told(fitting));
    }
    fitting
}
