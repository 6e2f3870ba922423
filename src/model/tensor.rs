//! Every family's encoder and language-model head as differentiable candle tensors: an [`Architecture`] over the
//! operations of this folder.
//!
//! In f32 the operations have forms of their own, with their own backward pass, on sequences packed end to end: on the CPU
//! single-threaded (training runs several batches side by side), on a GPU as kernels. In other numbers candle's operations
//! do the same on a batch in which each sequence is filled up to the longest.

mod attention;
mod batch;
mod cross_entropy;
mod embedding;
mod gelu;
#[cfg(feature = "cuda")]
mod gpu;
mod kernel;
mod layer_norm;
mod linear;
mod rotary;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use cross_entropy::cross_entropy;

use super::architecture::{Architecture, FeedForward, NormPlacement, Positions};
use attention::{Sequences, attention};
use batch::Form;
use candle_core::{Result, Tensor, bail};
use gelu::gelu;
use layer_norm::layer_norm;
use linear::linear;
use rotary::Turns;
use std::collections::BTreeMap;

/// The model over a set of tensors, which it shares and does not copy.
pub struct MaskedLm {
    architecture: Architecture,
    turns: Option<Turns>,
    tensors: BTreeMap<String, Tensor>,
}

impl MaskedLm {
    /// Errors name the tensor that is missing or of another shape.
    pub fn new(architecture: &Architecture, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        MaskedLm::of(architecture, tensors, |_| true)
    }

    /// The encoder alone, without the head's tensors: [`logits`](MaskedLm::logits) would miss them.
    pub fn encoder(architecture: &Architecture, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        MaskedLm::of(architecture, tensors, |name| !name.starts_with("lm_head."))
    }

    fn of(
        architecture: &Architecture,
        tensors: BTreeMap<String, Tensor>,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        for (name, shape) in architecture.tensor_shapes().into_iter().filter(|(name, _)| needed(name)) {
            match tensors.get(&name) {
                None => bail!("tensor {name} is missing"),
                Some(tensor) if tensor.dims() != shape => {
                    bail!("tensor {name} has shape {:?}: {shape:?} is needed", tensor.dims())
                }
                Some(_) => {}
            }
        }
        let mut model = MaskedLm { architecture: architecture.clone(), turns: None, tensors };
        if architecture.positions == Positions::Rotary {
            model.turns = Some(Turns::new(architecture, model.tensor("embed_tokens.weight")?)?);
        }
        Ok(model)
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Sequences of token ids (special tokens included) in the form that these weights compute; `mask` is the id of `<mask>`.
    pub fn batch<'a>(&self, mask: u32, sequences: impl Iterator<Item = &'a [u32]>) -> Result<Batch> {
        let packed = kernel::applies(self.tensor("embed_tokens.weight")?);
        let form = if packed { Form::Packed } else { Form::Padded };
        Batch::new(&self.architecture, mask, sequences, form)
    }

    /// Hidden states `[rows, d]` that enter the head.
    pub fn hidden(&self, batch: &Batch) -> Result<Tensor> {
        let mut x = self.embedding(batch)?;
        let sequences = Sequences::new(batch, &x)?;
        let batch = &sequences;
        for layer in 0..self.architecture.dimensions.num_hidden_layers {
            let at = |name: &str| format!("layers.{layer}.{name}");
            let [attention_norm, feed_forward_norm] = [at("self_attn_layer_norm"), at("final_layer_norm")];
            match self.architecture.norm {
                NormPlacement::Before => {
                    let y = self.attention(layer, batch, &self.layer_norm(&attention_norm, &x)?)?;
                    x = self.add(&x, y)?;
                    let y = self.feed_forward(layer, &self.layer_norm(&feed_forward_norm, &x)?)?;
                    x = self.add(&x, y)?;
                }
                NormPlacement::After => {
                    let y = self.attention(layer, batch, &x)?;
                    x = self.layer_norm(&attention_norm, &self.add(&x, y)?)?;
                    let y = self.feed_forward(layer, &x)?;
                    x = self.layer_norm(&feed_forward_norm, &self.add(&x, y)?)?;
                }
            }
        }
        match self.architecture.norm {
            NormPlacement::Before => self.layer_norm("emb_layer_norm_after", &x),
            NormPlacement::After => Ok(x),
        }
    }

    fn embedding(&self, batch: &Batch) -> Result<Tensor> {
        let mut x = embedding::tokens(self.tensor("embed_tokens.weight")?, batch)?;
        if let Positions::Learned { .. } = self.architecture.positions {
            x = embedding::add_positions(x, self.tensor("embed_positions.weight")?, batch)?;
        }
        if self.architecture.token_types {
            x = x.broadcast_add(&self.tensor("embed_types.weight")?.narrow(0, 0, 1)?)?;
        }
        if self.architecture.embedding_norm { self.layer_norm("emb_layer_norm_before", &x) } else { Ok(x) }
    }

    fn attention(&self, layer: usize, batch: &Sequences, x: &Tensor) -> Result<Tensor> {
        let at = |name: &str| format!("layers.{layer}.self_attn.{name}");
        let turned = |part: &str| {
            let mut y = self.linear(&at(&format!("{part}_proj")), x)?;
            if self.architecture.query_key_norm {
                y = self.layer_norm(&at(&format!("{part}_norm")), &y)?;
            }
            match &self.turns {
                Some(turns) => turns.apply(&y, batch),
                None => Ok(y),
            }
        };
        let heads = self.architecture.dimensions.num_attention_heads;
        let v = self.linear(&at("v_proj"), x)?;
        self.linear(&at("out_proj"), &attention(&turned("q")?, &turned("k")?, &v, batch, heads)?)
    }

    fn feed_forward(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        let y = self.linear(&format!("layers.{layer}.fc1"), x)?;
        let y = match self.architecture.feed_forward {
            FeedForward::Gelu => gelu(&y)?,
            FeedForward::SwiGlu => {
                let width = y.dim(1)? / 2;
                (y.narrow(1, 0, width)?.silu()? * y.narrow(1, width, width)?)?
            }
        };
        self.linear(&format!("layers.{layer}.fc2"), &y)
    }

    /// The residual sum.
    fn add(&self, x: &Tensor, y: Tensor) -> Result<Tensor> {
        match self.architecture.residual_scale {
            1.0 => x + y,
            scale => x + (y * f64::from(scale))?,
        }
    }

    /// Logits of hidden states `[n, d]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let x = gelu(&self.linear("lm_head.dense", hidden)?)?;
        let x = self.layer_norm("lm_head.layer_norm", &x)?;
        let decoder = if self.architecture.tied_decoder { "embed_tokens.weight" } else { "lm_head.weight" };
        linear(&x, self.tensor(decoder)?, self.tensor("lm_head.bias")?)
    }

    /// Cross entropy `[n]` at these rows of the batch.
    pub fn losses(&self, batch: &Batch, positions: &[u32], targets: &[u32]) -> Result<Tensor> {
        self.losses_of(&self.hidden(batch)?, positions, targets)
    }

    /// The same, summed: what trains.
    pub fn loss(&self, batch: &Batch, positions: &[u32], targets: &[u32]) -> Result<Tensor> {
        let hidden = self.hidden(batch)?;
        if kernel::on_cpu(&hidden) {
            return self.losses_of(&hidden, positions, targets)?.sum_all();
        }
        // To pick rows out has a slow backward pass on a GPU: the others weigh nothing instead.
        let (mut of_rows, mut weights) = (vec![0; batch.rows()], vec![0f32; batch.rows()]);
        for (&position, &target) in positions.iter().zip(targets) {
            of_rows[position as usize] = target;
            weights[position as usize] = 1.0;
        }
        let losses = cross_entropy(&self.logits(&hidden)?, &of_rows)?;
        let weights = Tensor::new(weights, losses.device())?.to_dtype(losses.dtype())?;
        (losses * weights)?.sum_all()
    }

    fn losses_of(&self, hidden: &Tensor, positions: &[u32], targets: &[u32]) -> Result<Tensor> {
        let positions = Tensor::new(positions, hidden.device())?;
        cross_entropy(&self.logits(&hidden.index_select(&positions, 0)?)?, targets)
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| candle_core::Error::msg(format!("tensor {name} is missing")))
    }

    /// The bias of a part, zero where the architecture has none.
    fn bias(&self, name: &str, weight: &Tensor) -> Result<Tensor> {
        match self.tensors.get(&format!("{name}.bias")) {
            Some(bias) => Ok(bias.clone()),
            None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device()),
        }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        linear(x, weight, &self.bias(name, weight)?)
    }

    fn layer_norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        layer_norm(x, weight, &self.bias(name, weight)?, self.architecture.epsilon)
    }
}
