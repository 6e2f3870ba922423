//! The whole job: what can be asked for, and a corpus into a model with its losses.

use super::hairpins::hairpin;
use super::pairing::look_for_pairs;
use super::{
    Corpus, EncodedRecord, HeldOut, Length, Observer, Precision, Progress, Shares, SplitOptions,
    TrainOptions, TrainReport, TrainedModel, Trainer, TrainingDevice, baselines, evaluate, evaluate_as_bert,
};
use crate::error::{Error, Result};
use crate::model::{DeviceChoice, Dimensions, esm2, rna_fm};
use crate::parse_share;
use crate::sequence::InputOptions;
use crate::tokenizer::{self, Alphabet, Tokenizer};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Held-out records that are measured while the training runs; at the end all are.
const MEASURED_ON_THE_WAY: usize = 500;
const MICRO_BATCHES: usize = 4;

/// Train a masked language model.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct TrainRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    pub inputs: Vec<String>,

    /// Model file to write (.safetensors)
    #[arg(short, long)]
    pub output: String,

    /// Model to go on from, whose shape then holds; without it training begins at random weights
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["architecture", "layers", "hidden_size", "heads", "ffn_size", "max_tokens"])]
    pub init: Option<String>,

    /// What the model is built like, and with it the alphabet
    #[arg(long, value_enum, default_value = "rna-fm")]
    pub architecture: ArchitectureName,

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

    /// Steps to train; 0 only measures the model of --init
    #[arg(long, default_value_t = 10_000)]
    pub steps: u64,

    /// Steps on random hairpins before those on the records (RNA alone): from them a model learns to pair bases
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    pub hairpin_steps: u64,

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

    /// Begin with two layers that look for each residue's partner in a stem (RNA alone)
    #[arg(long, conflicts_with = "init")]
    pub pairing_start: bool,

    /// Of a longer record, train on a window of this many tokens, another in each epoch
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(8..))]
    pub crop: Option<u32>,

    /// In each epoch, thin a group of more than this many members to the geometric mean of both numbers
    #[arg(long, value_name = "MEMBERS", value_parser = clap::value_parser!(u32).range(1..))]
    pub balance: Option<u32>,

    /// Seed of the first weights, the masks, the order and the split
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Threads; 0 takes as many as the machine grants
    #[arg(long, default_value_t = 0)]
    pub threads: usize,

    /// Where to compute: `cpu`, `cuda` or `cuda:N`, or `auto` (a GPU that answers, else the CPU)
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,

    /// Store the weights in half precision
    #[arg(long)]
    pub f16: bool,

    /// What the model is, stored in the file
    #[arg(long)]
    pub description: Option<String>,

    /// Licence of the model, stored in the file
    #[arg(long)]
    pub licence: Option<String>,

    /// Share of the groups that is never trained on, only measured, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub holdout: f64,

    /// Share of the records of the other groups that is never trained on, only measured, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub holdout_records: f64,

    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// Architectures that a training can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchitectureName {
    /// RNA
    #[value(name = "rna-fm")]
    RnaFm,
    /// Protein
    #[value(name = "esm-2")]
    Esm2,
}

impl TrainRequest {
    /// Random weights of the shape that is asked for, and the alphabet; of no effect with `init`.
    pub fn random(&self) -> Result<(TrainedModel, Tokenizer)> {
        let (architecture, tokenizer) = match self.architecture {
            ArchitectureName::RnaFm => (rna_fm::architecture(self.dimensions(1)?), tokenizer::rna_fm()),
            // Rotary positions turn pairs.
            ArchitectureName::Esm2 => (esm2::architecture(self.dimensions(2)?), tokenizer::esm2()),
        };
        let mut model = TrainedModel::random(&architecture, self.seed)?;
        if self.pairing_start {
            look_for_pairs(&mut model, &tokenizer)?;
        }
        Ok((model, tokenizer))
    }

    /// The sizes that are asked for; a head's is to be a multiple of `head_size`.
    fn dimensions(&self, head_size: u32) -> Result<Dimensions> {
        if !self.hidden_size.is_multiple_of(head_size * self.heads) {
            return Err(Error::usage(format!(
                "--hidden-size {} --heads {}: allowed are sizes that are a multiple of {}",
                self.hidden_size,
                self.heads,
                head_size * self.heads
            )));
        }
        Ok(Dimensions {
            num_hidden_layers: self.layers as usize,
            hidden_size: self.hidden_size as usize,
            num_attention_heads: self.heads as usize,
            intermediate_size: self.ffn_size as usize,
            max_positions: self.max_tokens as usize,
        })
    }

    /// What is held out.
    pub fn shares(&self) -> Shares {
        Shares { groups: self.holdout, records: self.holdout_records }
    }

    /// How the model is to be stored.
    pub fn precision(&self) -> Precision {
        if self.f16 { Precision::F16 } else { Precision::F32 }
    }

    fn options(&self) -> Result<TrainOptions> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(value),
            false => Err(Error::usage(format!("--{name} {value}: allowed is a positive number"))),
        };
        Ok(TrainOptions {
            seed: self.seed,
            length: self.epochs.map_or(Length::Steps(self.steps), Length::Epochs),
            hairpin_steps: self.hairpin_steps,
            crop: self.crop.map(|tokens| tokens as usize),
            micro_batches: MICRO_BATCHES,
            batch_tokens: self.step_tokens as usize / MICRO_BATCHES,
            peak_lr: positive("learning-rate", self.learning_rate)?,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: 1.0,
            balance: self.balance,
            report_every: 50,
            measure_every: 500,
            checkpoint_every: Some(500),
        })
    }
}

/// Trains on a corpus from `start` and measures what was held out.
///
/// Reading the inputs, loading `--init` and writing the model are the caller's.
pub fn train(
    request: &TrainRequest,
    tokenizer: &Tokenizer,
    corpus: &Corpus,
    mut start: TrainedModel,
    device: &TrainingDevice,
    observer: &mut dyn Observer,
) -> Result<(TrainedModel, TrainReport)> {
    if request.hairpin_steps > 0 && tokenizer.alphabet != Alphabet::Nucleotides {
        return Err(Error::usage("--hairpin-steps are for models of RNA".to_string()));
    }
    let notes = [("description", &request.description), ("licence", &request.licence)];
    start.notes.extend(notes.into_iter().filter_map(|(key, note)| Some((key.to_string(), note.clone()?))));

    let held_out = if corpus.new_groups.is_empty() { &corpus.seen_groups } else { &corpus.new_groups };
    let mut on_the_way: Vec<&EncodedRecord> = held_out.iter().collect();
    on_the_way.sort_by_key(|record| record.hash);
    let on_the_way: Vec<EncodedRecord> = on_the_way.into_iter().take(MEASURED_ON_THE_WAY).cloned().collect();

    let mut followed = Followed { observer, last: Progress::default() };
    let trainer = Trainer::new(request.options()?, tokenizer, &corpus.training, &on_the_way)?;
    let model = trainer.fit(start, device, &mut followed)?;
    let last = followed.last;
    let held_out = |records: &[EncodedRecord], training: &[EncodedRecord]| -> Result<Option<HeldOut>> {
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(HeldOut {
            records: records.len() as u64,
            model: evaluate(&model, tokenizer, records, device)?,
            model_as_bert: evaluate_as_bert(&model, tokenizer, records, device)?,
            baselines: baselines(tokenizer, training, records),
        }))
    };
    let hairpins = |numbers: std::ops::Range<u64>| -> Vec<EncodedRecord> {
        let record = |number| {
            hairpin((tokenizer, model.architecture.dimensions.max_positions), request.seed, number, 0.0)
        };
        numbers.map(record).collect()
    };
    let report = TrainReport {
        records: corpus.training.len() as u64,
        corpus_tokens: corpus.training.iter().map(|record| record.tokens.len() as u64).sum(),
        steps: last.steps,
        tokens: last.tokens,
        seconds: last.seconds,
        new_groups: held_out(&corpus.new_groups, &corpus.training)?,
        seen_groups: held_out(&corpus.seen_groups, &corpus.training)?,
        hairpins: match request.hairpin_steps {
            0 => None,
            _ => held_out(&hairpins(0..2000), &hairpins(2000..8000))?,
        },
    };
    Ok((model, report))
}

/// Passes everything on, and keeps the last progress.
struct Followed<'a> {
    observer: &'a mut dyn Observer,
    last: Progress,
}

impl Observer for Followed<'_> {
    fn check(&self) -> Result<()> {
        self.observer.check()
    }

    fn progress(&mut self, progress: &Progress) {
        self.last = *progress;
        self.observer.progress(progress);
    }

    fn checkpoint(&mut self, model: &TrainedModel) -> Result<()> {
        self.observer.checkpoint(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;
    use crate::tokenizer::rna_fm;
    use crate::train::Splitter;
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
                     --groups header:^([^|]+) --holdout 0.3 --holdout-records 0.2 --licence CC0 --f16";
        let request = request(flags);
        let storage = Storage::from_env().unwrap();
        let mut splitter =
            Splitter::open(&request.split, request.shares(), request.seed, &storage, &[]).unwrap();
        let records = (0..100u64).map(|hash| {
            splitter.add((0, format!("{}|{hash}", hash % 20).as_bytes(), b"ACGU"), hash).unwrap();
            let tokens = rna_fm().encode(b"ACGGUAUCGGAUCAGC", 32).unwrap().ids;
            EncodedRecord { hash, tokens, group: 0 }
        });
        let records = records.collect();
        let one_thread = TrainingDevice::Cpu { threads: 1 };
        let corpus = Corpus::split(records, splitter).unwrap();
        let (model, report) =
            train(&request, &rna_fm(), &corpus, request.random().unwrap().0, &one_thread, &mut ()).unwrap();
        assert_eq!(
            (model.architecture, request.precision()),
            (request.random().unwrap().0.architecture, Precision::F16)
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
        for sizes in ["--hidden-size 10 --heads 4", "--hidden-size 12 --heads 4 --architecture esm-2"] {
            assert_eq!(request(sizes).random().err().unwrap().code, Code::Usage, "{sizes}");
        }
        assert!(request("--hidden-size 12 --heads 4").random().is_ok());
        for rate in ["0", "-1", "nan", "inf"] {
            let request = request(&format!("--learning-rate={rate}"));
            assert_eq!(request.options().unwrap_err().code, Code::Usage, "{rate}");
        }
    }
}
