//! Weights of a model in training: where they start, and how they are written and read.

use super::random::{Stream, draw};
use super::{TrainingDevice, engine};
use crate::error::{Error, Result};
use crate::model::{Architecture, Weights, family};
use crate::tokenizer::Tokenizer;
use candle_core::{Device, Tensor};
use half::f16;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A model: its shape, its weights by name (f32, on the CPU), and notes that are stored with it.
#[derive(Clone, Debug)]
pub struct TrainedModel {
    pub architecture: Architecture,
    pub tensors: BTreeMap<String, Tensor>,
    /// What goes in the file's metadata besides the architecture and the configuration
    pub notes: BTreeMap<String, String>,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
}

const TOKENS: &str = "embed_tokens.weight";
const POSITIONS: &str = "embed_positions.weight";
/// Root mean square of both embeddings at the start.
const EMBEDDING_DEVIATION: f64 = 0.1;

impl TrainedModel {
    /// Random weights: a function of the seed and each tensor's name.
    pub fn random(architecture: &Architecture, seed: u64) -> Result<Self> {
        let dimensions = &architecture.dimensions;
        let depth = (2.0 * dimensions.num_hidden_layers as f64).sqrt();
        let mut tensors = BTreeMap::new();
        for (name, shape) in architecture.tensor_shapes() {
            let n: usize = shape.iter().product();
            let mut stream = Stream::new(draw(seed, &[xxhash_rust::xxh3::xxh3_64(name.as_bytes())]));
            let mut normal = |deviation: f64| -> Vec<f32> {
                (0..n).map(|_| (deviation * stream.normal()) as f32).collect()
            };
            let mut values = if name == POSITIONS {
                sinusoids(shape[0], dimensions.hidden_size)
            } else if name == TOKENS {
                normal(EMBEDDING_DEVIATION)
            } else if name.ends_with(".bias") {
                vec![0.0; n]
            } else if name.contains("norm") {
                vec![1.0; n]
            } else {
                // What is added to the residual stream starts smaller, the more layers add to it.
                let branch_end = name.contains("out_proj") || name.contains("fc2");
                let deviation = (shape[1] as f64).powf(-0.5);
                normal(if branch_end { deviation / depth } else { deviation })
            };
            if name == TOKENS {
                zero_mask_row(&mut values, architecture);
            }
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).map_err(engine)?);
        }
        Ok(TrainedModel { architecture: architecture.clone(), tensors, notes: BTreeMap::new() })
    }

    /// The weights where a training computes.
    pub(super) fn on(&self, device: &TrainingDevice) -> Result<BTreeMap<String, Tensor>> {
        let (device, dtype) = device.of_weights();
        let there = |(name, tensor): (&String, &Tensor)| {
            Ok((name.clone(), tensor.to_device(&device)?.to_dtype(dtype)?))
        };
        self.tensors.iter().map(there).collect::<candle_core::Result<_>>().map_err(engine)
    }

    /// A safetensors file with metadata `architecture`, `config` (JSON) and the notes. The same model gives the
    /// same bytes.
    pub fn to_safetensors(&self, precision: Precision) -> Result<Vec<u8>> {
        let mut metadata: BTreeMap<String, String> = self.notes.clone();
        metadata.insert("architecture".into(), self.architecture.family.into());
        let mut config = serde_json::to_value(&self.architecture.dimensions).map_err(encoding)?;
        config["token_dropout"] = json!(self.architecture.token_dropout);
        metadata.insert("config".into(), config.to_string());
        let dtype = match precision {
            Precision::F32 => "F32",
            Precision::F16 => "F16",
        };
        let mut header = Map::new();
        header.insert("__metadata__".into(), json!(metadata));
        let mut data = Vec::new();
        for (name, tensor) in &self.tensors {
            let start = data.len();
            for value in values(tensor)? {
                match precision {
                    Precision::F32 => data.extend(value.to_le_bytes()),
                    Precision::F16 => data.extend(f16::from_f32(value).to_le_bytes()),
                }
            }
            let entry = json!({"dtype": dtype, "shape": tensor.dims(), "data_offsets": [start, data.len()]});
            header.insert(name.clone(), entry);
        }
        let mut header = serde_json::to_vec(&Value::Object(header)).map_err(encoding)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        Ok(file)
    }

    /// The weights of a model file of any family, to go on training from, and the family's alphabet.
    pub fn from_weights(mut weights: Weights) -> Result<(Self, Tokenizer)> {
        let family::Read { architecture, tokenizer } = family::read(&mut weights)?;
        let mut tensors = BTreeMap::new();
        for (name, shape) in architecture.tensor_shapes() {
            let mut values = weights.take(&name, &shape)?;
            if name == TOKENS {
                zero_mask_row(&mut values, &architecture);
            }
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).map_err(engine)?);
        }
        Ok((TrainedModel { architecture, tensors, notes: BTreeMap::new() }, tokenizer))
    }

    /// Errors where the file that [`to_safetensors`](TrainedModel::to_safetensors) writes would be read as another model
    /// than this: some families keep in a separate configuration what a file of weights does not tell.
    pub fn check_file(&self) -> Result<()> {
        let file = Weights::held("a trained model", self.to_safetensors(Precision::F16)?);
        match file.and_then(|mut file| family::read(&mut file)) {
            Ok(read) if read.architecture == self.architecture => Ok(()),
            _ => Err(Error::model(format!(
                "a model of family {} can be adapted in a job (--adapt), but not be trained to a file",
                self.architecture.family
            ))),
        }
    }
}

/// Sines and cosines of the position, wavelengths from 2π to 20000π (Vaswani et al. 2017). Learned positions start
/// from them because then "so many residues away" is the same linear map everywhere from the first step: a table of
/// random rows has to learn it for each position by itself, and small training sets never show the late ones enough.
fn sinusoids(rows: usize, d: usize) -> Vec<f32> {
    let amplitude = EMBEDDING_DEVIATION * std::f64::consts::SQRT_2;
    let value = |row: usize, i: usize| {
        let angle = row as f64 * frequency(i, d);
        (amplitude * if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..rows).flat_map(|row| (0..d).map(move |i| (row, i))).map(|(row, i)| value(row, i)).collect()
}

/// Turn from one position to the next of the sine or cosine in dimension `i` of `d`, in radians.
pub(super) fn frequency(i: usize, d: usize) -> f64 {
    10_000f64.powf(-((i / 2 * 2) as f64) / d as f64)
}

/// Where the architecture has it so, the `<mask>` row, the vocabulary's last, stays zero: scoring zeroes the row when it
/// loads a model, so a trained row would be lost there.
fn zero_mask_row(values: &mut [f32], architecture: &Architecture) {
    if architecture.zero_mask_row {
        let start = values.len().saturating_sub(architecture.dimensions.hidden_size);
        values[start..].fill(0.0);
    }
}

/// As [`zero_mask_row`], for the named tensor's gradient.
pub(super) fn freeze_mask_row(name: &str, gradient: &mut [f32], architecture: &Architecture) {
    if name == TOKENS {
        zero_mask_row(gradient, architecture);
    }
}

pub(super) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(engine)
}

fn encoding(error: serde_json::Error) -> Error {
    Error::internal("the model's metadata cannot be written").caused_by(error)
}
