//! What every training of an evaluation starts from: random weights, or a model that is there.

use super::super::Context;
use super::super::choose::{FOR_RNA, check_kind, choose};
use super::request::TrainerOptions;
use crate::error::Result;
use crate::model;
use crate::sequence::Dataset;
use crate::tokenizer::{self, Alphabet, Tokenizer};
use crate::train::{EncodedRecord, HeldOutLoss, TrainedModel, TrainingDevice, evaluate};

/// The start, with the alphabet and the longest input that come with it.
pub(super) struct Start {
    pub tokenizer: Tokenizer,
    pub max_tokens: usize,
    model: Option<(TrainedModel, String)>,
}

impl Start {
    /// The model of `--init`; without it, random weights for the data's alphabet.
    ///
    /// # Errors
    /// `BadInput` where the data are a mix of RNA and proteins, or not what the model reads; those of the model's file.
    pub fn open(options: &TrainerOptions, inputs: &Dataset, context: &Context) -> Result<Start> {
        let Some(name) = &options.init else {
            let tokenizer = match choose(inputs)? {
                FOR_RNA => tokenizer::rna_fm(),
                _ => tokenizer::esm2(),
            };
            return Ok(Start { tokenizer, max_tokens: options.max_tokens as usize, model: None });
        };
        let (weights, _) = model::open(name, &context.storage)?;
        let digest = weights.digest.clone();
        let (model, tokenizer) = TrainedModel::from_weights(weights)?;
        check_kind(inputs, name, tokenizer.alphabet)?;
        let max_tokens = model.architecture.dimensions.max_positions;
        Ok(Start { tokenizer, max_tokens, model: Some((model, digest)) })
    }

    pub fn alphabet(&self) -> Alphabet {
        self.tokenizer.alphabet
    }

    /// The weights that the training under a seed begins with: the same for every condition.
    pub fn model(&self, options: &TrainerOptions, seed: u64) -> Result<TrainedModel> {
        match &self.model {
            Some((model, _)) => Ok(model.clone()),
            None => options.random(self.alphabet(), seed),
        }
    }

    /// Losses on held-out records before any training; none of random weights.
    pub fn loss(&self, records: &[EncodedRecord], device: &TrainingDevice) -> Result<Option<HeldOutLoss>> {
        let loss = |(model, _): &(TrainedModel, String)| evaluate(model, &self.tokenizer, records, device);
        self.model.as_ref().map(loss).transpose()
    }

    /// Digest of the model's file, where there is one.
    pub fn digest(&self) -> Option<&str> {
        self.model.as_ref().map(|(_, digest)| digest.as_str())
    }
}
