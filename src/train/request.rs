//! The whole job: what can be asked for, and a corpus into a model with its losses.

use super::{
    Baselines, Corpus, EncodedRecord, HeldOut, HeldOutLoss, Length, Observer, Precision, Progress,
    SplitOptions, TrainOptions, TrainReport, TrainedModel, Trainer, baselines, evaluate,
};
use crate::error::{Error, Result};
use crate::model::{Architecture, Dimensions, rna_fm};
use crate::sequence::InputOptions;
use crate::tokenizer::Tokenizer;
use clap::Args;
use serde::{Deserialize, Serialize};

/// Held-out records that are measured while the training runs; at the end all are.
const MEASURED_ON_THE_WAY: usize = 1000;
const MICRO_BATCHES: usize = 4;

/// Train a masked language model of RNA-FM's architecture.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct TrainRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    pub inputs: Vec<String>,

    /// Model file to write (.safetensors)
    #[arg(short, long)]
    pub output: String,

    /// Model to go on from, whose shape then holds; without it training begins at random weights
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["layers", "hidden_size", "heads", "ffn_size", "max_tokens"])]
    pub init: Option<String>,

    /// Number of layers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub layers: u32,

    /// Size of a hidden state
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub hidden_size: u32,

    /// Attention heads; they divide the hidden size
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub heads: u32,

    /// Size of the feed-forward layers
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=32_768))]
    pub ffn_size: u32,

    /// Longest input in tokens, with the special ones
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub max_tokens: u32,

    /// Steps to train
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,

    /// Times to go through the records, instead of a number of steps
    #[arg(long, conflicts_with = "steps", value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: Option<u64>,

    /// Tokens in a step
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..))]
    pub step_tokens: u32,

    /// Learning rate at its peak
    #[arg(long, default_value_t = 3e-3)]
    pub learning_rate: f64,

    /// Steps until the peak, a tenth of all steps at most
    #[arg(long, default_value_t = 500)]
    pub warmup: u64,

    /// Decay of the matrices' weights
    #[arg(long, default_value_t = 0.01)]
    pub weight_decay: f64,

    /// In each epoch, thin a group of more than this many members to the geometric mean of both numbers
    #[arg(long, value_name = "MEMBERS", value_parser = clap::value_parser!(u32).range(1..))]
    pub balance: Option<u32>,

    /// Seed of the first weights, the masks, the order and the split
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Threads; 0 takes as many as the machine grants
    #[arg(long, default_value_t = 0)]
    pub threads: usize,

    /// Store the weights in half precision
    #[arg(long)]
    pub f16: bool,

    /// What the model is, stored in the file
    #[arg(long)]
    pub description: Option<String>,

    /// Licence of the model, stored in the file
    #[arg(long)]
    pub licence: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

impl TrainRequest {
    /// The shape that is asked for; of no effect with `init`.
    pub fn architecture(&self) -> Result<Architecture> {
        if !self.hidden_size.is_multiple_of(self.heads) {
            return Err(Error::usage(format!(
                "--heads {} do not divide --hidden-size {}",
                self.heads, self.hidden_size
            )));
        }
        Ok(rna_fm::architecture(Dimensions {
            num_hidden_layers: self.layers as usize,
            hidden_size: self.hidden_size as usize,
            num_attention_heads: self.heads as usize,
            intermediate_size: self.ffn_size as usize,
            max_positions: self.max_tokens as usize,
        }))
    }

    /// How the model is to be stored.
    pub fn precision(&self) -> Precision {
        if self.f16 { Precision::F16 } else { Precision::F32 }
    }

    fn options(&self, threads: usize) -> Result<TrainOptions> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(value),
            false => Err(Error::usage(format!("--{name} {value}: allowed is a positive number"))),
        };
        Ok(TrainOptions {
            seed: self.seed,
            length: self.epochs.map_or(Length::Steps(self.steps), Length::Epochs),
            micro_batches: MICRO_BATCHES,
            batch_tokens: self.step_tokens as usize / MICRO_BATCHES,
            peak_lr: positive("learning-rate", self.learning_rate)?,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: 1.0,
            balance: self.balance,
            threads,
            report_every: 50,
            measure_every: 500,
            checkpoint_every: Some(500),
        })
    }
}

/// Trains on a corpus from `start`, or from random weights of the asked shape, and measures what was held out.
///
/// Reading the inputs, loading `--init` and writing the model are the caller's.
pub fn train(
    request: &TrainRequest,
    tokenizer: &Tokenizer,
    corpus: &Corpus,
    start: Option<TrainedModel>,
    threads: usize,
    observer: &mut dyn Observer,
) -> Result<(TrainedModel, TrainReport)> {
    let mut start = match start {
        Some(model) => model,
        None => TrainedModel::random(&request.architecture()?, request.seed)?,
    };
    let notes = [("description", &request.description), ("licence", &request.licence)];
    start.notes.extend(notes.into_iter().filter_map(|(key, note)| Some((key.to_string(), note.clone()?))));

    let held_out = if corpus.new_groups.is_empty() { &corpus.seen_groups } else { &corpus.new_groups };
    let mut on_the_way: Vec<&EncodedRecord> = held_out.iter().collect();
    on_the_way.sort_by_key(|record| record.hash);
    let on_the_way: Vec<EncodedRecord> = on_the_way.into_iter().take(MEASURED_ON_THE_WAY).cloned().collect();

    let mut followed = Followed { observer, last: None };
    let trainer = Trainer::new(request.options(threads)?, tokenizer, &corpus.training, &on_the_way)?;
    let model = trainer.fit(start, &mut followed)?;
    let last = followed.last.ok_or_else(|| Error::internal("a training ended before its first step"))?;
    let held_out = |records: &[EncodedRecord]| -> Result<Option<HeldOut>> {
        if records.is_empty() {
            return Ok(None);
        }
        let loss: HeldOutLoss = evaluate(&model, tokenizer, records, threads)?;
        let baselines: Baselines = baselines(tokenizer, &corpus.training, records);
        Ok(Some(HeldOut { records: records.len() as u64, model: loss, baselines }))
    };
    let report = TrainReport {
        records: corpus.training.len() as u64,
        corpus_tokens: corpus.training.iter().map(|record| record.tokens.len() as u64).sum(),
        steps: last.steps,
        tokens: last.tokens,
        seconds: last.seconds,
        new_groups: held_out(&corpus.new_groups)?,
        seen_groups: held_out(&corpus.seen_groups)?,
    };
    Ok((model, report))
}

/// Passes everything on, and keeps the last progress.
struct Followed<'a> {
    observer: &'a mut dyn Observer,
    last: Option<Progress>,
}

impl Observer for Followed<'_> {
    fn check(&self) -> Result<()> {
        self.observer.check()
    }

    fn progress(&mut self, progress: &Progress) {
        self.last = Some(*progress);
        self.observer.progress(progress);
    }

    fn checkpoint(&mut self, model: &TrainedModel) -> Result<()> {
        self.observer.checkpoint(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        request: TrainRequest,
    }

    fn request(flags: &str) -> TrainRequest {
        let arguments = ["train", "in.fa", "-o", "model.safetensors"];
        Flags::parse_from(arguments.into_iter().chain(flags.split_whitespace())).request
    }

    #[test]
    fn a_corpus_becomes_a_model_with_its_losses() {
        let flags = "--layers 1 --hidden-size 8 --heads 2 --ffn-size 8 --max-tokens 32 --steps 2 --step-tokens 256 \
                     --group-separator | --holdout 0.3 --holdout-records 0.2 --licence CC0 --f16";
        let request = request(flags);
        let records = (0..100u64).map(|i| {
            let tokens = rna_fm().encode(b"ACGGUAUCGGAUCAGC", 32).unwrap().ids;
            Ok((format!("{}|{i}", i % 20).into_bytes(), i, tokens))
        });
        let corpus = Corpus::read(records, &request.split, request.seed).unwrap();
        let (model, report) = train(&request, &rna_fm(), &corpus, None, 1, &mut ()).unwrap();
        assert_eq!(
            (model.architecture, request.precision()),
            (request.architecture().unwrap(), Precision::F16)
        );
        assert_eq!(model.notes["licence"], "CC0");
        assert_eq!((report.steps, report.records), (2, corpus.training.len() as u64));
        let (new, seen) = (report.new_groups.unwrap(), report.seen_groups.unwrap());
        assert_eq!(report.records + new.records + seen.records, 100);
        assert!(new.model.by_residue.is_finite() && seen.baselines.unigram.by_group.is_finite());
    }

    #[test]
    fn impossible_options_are_usage_errors() {
        use crate::error::Code;
        assert_eq!(request("--hidden-size 10 --heads 4").architecture().unwrap_err().code, Code::Usage);
        for rate in ["0", "-1", "nan", "inf"] {
            let request = request(&format!("--learning-rate={rate}"));
            assert_eq!(request.options(1).unwrap_err().code, Code::Usage, "{rate}");
        }
    }
}
