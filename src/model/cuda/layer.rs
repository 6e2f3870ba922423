//! The weights of an encoder's layers on a GPU, and what computes with them.

use super::device::{Gpu, Memory};
use super::product::{Choice, Library, Orientation, Outputs, Product};
use crate::error::{Error, Result};
use crate::model::architecture::Architecture;
use crate::model::kernels::LayerNorm;
use crate::model::{Numbers, Weights};
use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use std::sync::Arc;

/// A LayerNorm's weights on the GPU.
pub struct Norm {
    pub weight: Memory,
    pub bias: Memory,
    pub epsilon: f32,
}

/// A linear layer, `[outputs, inputs]`.
pub(super) struct Linear {
    pub(super) weight: Memory,
    pub(super) bias: Memory,
}

pub(super) struct Layer {
    pub(super) attention_norm: Norm,
    pub(super) qkv: Linear,
    pub(super) query_key_norm: Option<[Memory; 2]>,
    pub(super) output: Linear,
    pub(super) feed_forward_norm: Norm,
    pub(super) expand: Linear,
    pub(super) contract: Linear,
}

pub(super) struct Kernels {
    pub(super) embed: CudaFunction,
    pub(super) norm: CudaFunction,
    pub(super) turn: CudaFunction,
    pub(super) attention: CudaFunction,
    pub(super) activate: CudaFunction,
    pub(super) gate: CudaFunction,
}

pub(super) struct Products {
    pub(super) qkv: Product,
    pub(super) output: Product,
    pub(super) expand: Product,
    pub(super) contract: Product,
}

impl Norm {
    pub fn upload(gpu: &Gpu, norm: &LayerNorm) -> Result<Norm> {
        let (weight, bias) = (gpu.upload_f32(&norm.weight)?, gpu.upload_f32(&norm.bias)?);
        Ok(Norm { weight, bias, epsilon: norm.epsilon })
    }
}

impl Layer {
    pub(super) fn load(
        weights: &mut Weights,
        index: usize,
        architecture: &Architecture,
        gpu: &Gpu,
        numbers: Numbers,
    ) -> Result<Layer> {
        let (d, epsilon) = (architecture.dimensions.hidden_size, architecture.epsilon);
        let name = |part: &str| format!("layers.{index}.{part}");
        let query_scale = 1.0 / (architecture.head_size() as f32).sqrt();
        // A norm that follows would undo the scale: it goes into that norm instead.
        let product_scale = if architecture.query_key_norm { 1.0 } else { query_scale };
        let [query, key, value] =
            ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}")));
        let query_key_norm = match architecture.query_key_norm {
            true => {
                let mut query = weights.take(&name("self_attn.q_norm.weight"), &[d])?;
                query.iter_mut().for_each(|weight| *weight *= query_scale);
                let key = weights.take(&name("self_attn.k_norm.weight"), &[d])?;
                Some([gpu.upload_f32(&query)?, gpu.upload_f32(&key)?])
            }
            false => None,
        };
        let mut linear = |layers: &[(&str, f32)], shape: [usize; 2], bias_numbers| {
            let (mut rows, mut bias) = (Vec::new(), Vec::new());
            for (name, scale) in layers {
                weights.take_to(&mut rows, &format!("{name}.weight"), &shape, *scale)?;
                match architecture.linear_biases {
                    true => weights.take_to(&mut bias, &format!("{name}.bias"), &shape[..1], *scale)?,
                    false => bias.resize(bias.len() + shape[0], 0.0),
                }
            }
            let (weight, bias) = (gpu.upload_as(&rows, numbers)?, gpu.upload_as(&bias, bias_numbers)?);
            Ok::<_, Error>(Linear { weight, bias })
        };
        let inner = architecture.dimensions.intermediate_size;
        let scale = architecture.residual_scale;
        let single = [(&*name("self_attn.out_proj"), scale), (&name("fc1"), 1.0), (&name("fc2"), scale)];
        let qkv = linear(&[(&query, product_scale), (&key, 1.0), (&value, 1.0)], [d, d], numbers)?;
        let output = linear(&single[..1], [d, d], Numbers::F32)?;
        let expand = linear(&single[1..2], [architecture.expanded_size(), d], Numbers::F32)?;
        let contract = linear(&single[2..], [d, inner], Numbers::F32)?;
        let mut norm = |part: &str| Norm::upload(gpu, &weights.layer_norm(&name(part), d, epsilon, true)?);
        Ok(Layer {
            attention_norm: norm("self_attn_layer_norm")?,
            qkv,
            query_key_norm,
            output,
            feed_forward_norm: norm("final_layer_norm")?,
            expand,
            contract,
        })
    }
}

impl Kernels {
    pub(super) fn load(gpu: &Gpu, architecture: &Architecture, numbers: Numbers) -> Result<Kernels> {
        let module = gpu.kernels(include_bytes!(concat!(env!("OUT_DIR"), "/model.fatbin")))?;
        let kind = numbers.name();
        let quadruples = architecture.dimensions.hidden_size.div_ceil(4 * 32);
        let row = [2, 5, 10, 20, 40].into_iter().find(|held| quadruples <= *held).unwrap_or(40);
        let head_size = architecture.head_size();
        let head = [16, 32, 64, 128].into_iter().find(|held| head_size <= *held).unwrap_or(128);
        let aligned =
            if numbers == Numbers::Bf16 && !head_size.is_multiple_of(8) { "_unaligned" } else { "" };
        let kernel = |name: String| gpu.kernel(&module, &name);
        Ok(Kernels {
            embed: kernel(format!("embed_{kind}_{row}"))?,
            norm: kernel(format!("norm_{kind}_{row}"))?,
            turn: kernel(format!("turn_{kind}"))?,
            attention: kernel(format!("attention{aligned}_{kind}_{head}"))?,
            activate: kernel(format!("activate_{kind}"))?,
            gate: kernel(format!("gate_{kind}"))?,
        })
    }

    pub(super) fn attention_threads(&self, numbers: Numbers) -> u32 {
        if numbers == Numbers::Bf16 { 128 } else { 64 }
    }
}

impl Products {
    pub(super) fn new(
        library: &Arc<Library>,
        architecture: &Architecture,
        numbers: Numbers,
    ) -> Result<Products> {
        let (d, inner) = (architecture.dimensions.hidden_size, architecture.dimensions.intermediate_size);
        let product = |outputs, inputs, written| {
            let orientation = Orientation::OutputRows;
            Product::new(library, (outputs, inputs), numbers, orientation, written, Choice::Fastest)
        };
        Ok(Products {
            qkv: product(3 * d, d, Outputs::Biased)?,
            output: product(d, d, Outputs::Added)?,
            expand: product(architecture.expanded_size(), d, Outputs::Plain)?,
            contract: product(d, inner, Outputs::Added)?,
        })
    }
}
