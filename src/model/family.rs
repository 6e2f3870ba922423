//! The families: which one a file belongs to, and from its weights to a model.

use super::architecture::Architecture;
use super::candle::CandleEncoder;
#[cfg(feature = "cuda")]
use super::cuda::CudaEncoder;
use super::device::Placement;
use super::transformer::Transformer;
use super::{Encoder, MlmHead, Model, ModelInfo, ModelStatus, Numbers, Weights};
use super::{bert, esm2, esmc, rna_fm, roberta};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// How a family's files are known and read.
pub struct Family {
    pub name: &'static str,
    /// Whether a file is of this family, by its configuration or its tensors' names.
    pub owns: fn(&Weights) -> bool,
    /// Gives the tensors fairseq's names and tells what the model is made of.
    pub read: fn(&mut Weights) -> Result<Read>,
}

/// What a family reads off a file.
pub struct Read {
    pub architecture: Architecture,
    pub tokenizer: Tokenizer,
}

/// In the order they are asked: the first that owns a file reads it.
const FAMILIES: [Family; 5] = [rna_fm::FAMILY, esmc::FAMILY, bert::FAMILY, roberta::FAMILY, esm2::FAMILY];

/// Reads a file by its family. A `config.json` that names an `architecture` decides, else the tensors' names.
pub fn read(weights: &mut Weights) -> Result<Read> {
    let names = || FAMILIES.map(|family| family.name).join(", ");
    let family = match weights.text("architecture") {
        Some(name) => FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| {
            Error::model(format!("model {}: architecture {name:?}: known are {}", weights.file(), names()))
        })?,
        None => FAMILIES.iter().find(|family| (family.owns)(weights)).ok_or_else(|| {
            Error::model(format!(
                "model {}: its tensors belong to none of the known families ({})",
                weights.file(),
                names()
            ))
        })?,
    };
    let file = weights.file().to_string();
    let read = (family.read)(weights)
        .map_err(|error| Error::model(format!("model {file} ({})", family.name)).caused_by(error))?;
    if read.architecture.vocabulary < read.tokenizer.vocabulary_size() {
        return Err(Error::model(format!(
            "model {file}: the embedding has {} rows, the vocabulary of {} has {}",
            read.architecture.vocabulary,
            read.architecture.family,
            read.tokenizer.vocabulary_size()
        )));
    }
    Ok(read)
}

/// What a file's model is, from its shapes and configuration alone.
pub fn describe(name: &str, status: ModelStatus, mut weights: Weights) -> Result<ModelInfo> {
    let read = read(&mut weights)?;
    Ok(info(name, status, &read, &weights))
}

/// From a file's weights to a model that scores.
pub fn load(name: &str, status: ModelStatus, mut weights: Weights, placement: &Placement) -> Result<Model> {
    let read = read(&mut weights)?;
    build(name, status, read, weights, placement)
}

/// A model of weights that have fairseq's names already.
pub fn build(
    name: &str,
    status: ModelStatus,
    read: Read,
    mut weights: Weights,
    placement: &Placement,
) -> Result<Model> {
    let info = info(name, status, &read, &weights);
    let Read { architecture, tokenizer } = read;
    let (encoder, embedding): (Box<dyn Encoder>, Vec<f32>) = match placement {
        Placement::Cpu | Placement::CpuBf16 => {
            let numbers = if matches!(placement, Placement::Cpu) { Numbers::F32 } else { Numbers::Bf16 };
            let encoder = Transformer::load(&architecture, &tokenizer, &mut weights, numbers)?;
            let embedding = encoder.decoder_rows().to_vec();
            (Box::new(encoder), embedding)
        }
        #[cfg(feature = "cuda")]
        Placement::Cuda(gpu) => {
            let (encoder, embedding) = CudaEncoder::load(&architecture, &tokenizer, &mut weights, gpu)?;
            (Box::new(encoder), embedding)
        }
        Placement::Candle(dtype) => {
            let (encoder, embedding) = CandleEncoder::load(&architecture, &tokenizer, &mut weights, *dtype)?;
            (Box::new(encoder), embedding)
        }
    };
    let head = MlmHead::load(&architecture, &embedding, &mut weights)?;
    weights.finish(has_no_part)?;
    Ok(Model { info, tokenizer, encoder, head })
}

fn info(name: &str, status: ModelStatus, read: &Read, weights: &Weights) -> ModelInfo {
    let Read { architecture, tokenizer } = read;
    let text = |key: &str| weights.text(key).unwrap_or("not stated").to_string();
    let dimensions = &architecture.dimensions;
    ModelInfo {
        name: name.to_string(),
        family: architecture.family.to_string(),
        status,
        description: text("description"),
        licence: text("licence"),
        parameters: architecture.parameters(),
        layers: dimensions.num_hidden_layers as u32,
        hidden_size: dimensions.hidden_size as u32,
        attention_heads: dimensions.num_attention_heads as u32,
        vocabulary: tokenizer.vocabulary_size() as u32,
        max_tokens: dimensions.max_positions as u32,
        digest: weights.digest.clone(),
    }
}

/// Tensors that files hold beside the language model: a second copy of a tied decoder, heads for other tasks, buffers.
fn has_no_part(name: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "contact_head.",
        "esm.contact_head.",
        "bert.pooler.",
        "pooler.",
        "cls.seq_relationship.",
        // AntiBERTy's heads for species, chain and grafted loops.
        "cls.species.",
        "cls.chain.",
        "cls.graft.",
    ];
    const SUFFIXES: [&str; 4] = ["._float_tensor", ".inv_freq", ".position_ids", "decoder.bias"];
    matches!(name, "lm_head.weight" | "version")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}
