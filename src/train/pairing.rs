//! A start for models of RNA that looks for base pairs from the first step.
//!
//! A masked residue of a stem can be told from its partner, and the partner by its surroundings: they are the reverse
//! complement of the residue's own. Two layers can look that up: one that gathers each residue's neighbours, and one
//! that attends to where they come back reversed and complemented. Gradients find this search only after far more
//! tokens than families of RNA hold; here the weights begin with it, and training makes of it what the data bear out.
//!
//! The residual stream is laid out as: positions' fastest sines and cosines, the residue, a slot for each neighbour,
//! and the rest, which stays random. Head h of the first layer fills slot h.

use super::TrainedModel;
use super::model::frequency;
use crate::error::{Error, Result};
use crate::model::Architecture;
use crate::model::architecture::Positions;
use crate::tokenizer::Tokenizer;
use candle_core::{Device, Tensor};

/// Dimensions of the fastest positions: 5 pairs tell neighbours apart.
const FAST: usize = 10;
/// A, C, G, U: the complement of letter a is letter 3 - a.
const LETTERS: [&str; 4] = ["A", "C", "G", "U"];
/// Size of a residue's embedding beside that of its position (0.14 a pair). It is to be small beside all positions: the
/// norm after the embedding makes up for a masked residue's zeros, and its key must not win by size.
const RESIDUE: f32 = 0.3;
/// How sharply the first layer attends: the logits of a neighbour and of those beside it are about 6 apart.
const NEIGHBOUR: f64 = 2.6;
/// What a copy keeps of what it copies, in each of its two projections.
const COPY: f32 = 0.8;
/// How much a neighbour that fits adds to a logit, as the root: about 2.
const FIT: f32 = 1.65;

/// Has random weights look for base pairs.
///
/// # Errors
/// `Usage` if the sizes leave no room for the search, or the model is not one of RNA with learned positions.
pub(super) fn look_for_pairs(model: &mut TrainedModel, tokenizer: &Tokenizer) -> Result<()> {
    let layout = Layout::new(&model.architecture)?;
    let letters = LETTERS.map(|letter| tokenizer.vocabulary.iter().position(|text| text == letter));
    let [Some(a), Some(c), Some(g), Some(u)] = letters else {
        return Err(Error::usage("--pairing-start is for models of RNA"));
    };
    let letters = [a, c, g, u];
    layout.edit(model, "embed_positions.weight", |_, column| match column {
        _ if column < FAST => Change::Keep,
        _ if column < layout.end() => Change::Set(0.0),
        _ => Change::Keep,
    })?;
    layout.edit(model, "embed_tokens.weight", |row, column| {
        match letters.iter().position(|&id| id == row) {
            Some(letter) => Change::one_if(column == layout.residue(letter), RESIDUE),
            None if column < layout.end() => Change::Set(0.0),
            None => Change::Keep,
        }
    })?;
    layout.gather(model)?;
    layout.search(model)?;
    // What was found can be read off at once.
    layout.edit(model, "lm_head.dense.weight", |row, column| match row {
        _ if layout.is_residue(row) => Change::one_if(row == column, 1.0),
        _ => Change::Keep,
    })
}

/// What becomes of a weight.
enum Change {
    Keep,
    Set(f32),
}

impl Change {
    fn one_if(there: bool, value: f32) -> Change {
        Change::Set(if there { value } else { 0.0 })
    }
}

/// Where things lie in the residual stream and in a head.
struct Layout {
    d: usize,
    heads: usize,
    width: usize,
}

impl Layout {
    fn new(architecture: &Architecture) -> Result<Layout> {
        let dimensions = &architecture.dimensions;
        let (d, heads, width) =
            (dimensions.hidden_size, dimensions.num_attention_heads, architecture.head_size());
        let layout = Layout { d, heads, width };
        let room = layout.end() <= d && 4 * heads <= width && FAST <= width;
        let fits = room && heads.is_multiple_of(2) && dimensions.num_hidden_layers > 1;
        if !fits || !matches!(architecture.positions, Positions::Learned { .. }) {
            return Err(Error::usage(format!(
                "--pairing-start needs RNA-FM's architecture, two layers, an even number of heads, heads of size {} and \
                 a hidden size of {} or more",
                (4 * heads).max(FAST),
                layout.end()
            )));
        }
        Ok(layout)
    }

    fn residue(&self, letter: usize) -> usize {
        FAST + letter
    }

    fn is_residue(&self, column: usize) -> bool {
        (FAST..FAST + 4).contains(&column)
    }

    fn neighbour(&self, head: usize, letter: usize) -> usize {
        FAST + 4 + 4 * head + letter
    }

    /// Where the random rest begins.
    fn end(&self) -> usize {
        FAST + 4 + 4 * self.heads
    }

    /// The first layer: each head attends to one neighbour and copies it into its slot.
    fn gather(&self, model: &mut TrainedModel) -> Result<()> {
        let gain = (NEIGHBOUR * (self.width as f64).sqrt()).sqrt();
        for (name, turned) in [("q_proj", true), ("k_proj", false)] {
            self.edit(model, &format!("layers.0.self_attn.{name}.weight"), |row, column| {
                let (head, row) = (row / self.width, row % self.width);
                if row >= FAST || row / 2 != column / 2 {
                    return Change::Set(0.0);
                }
                let angle = if turned { offset(head) * frequency(column, self.d) } else { 0.0 };
                let (sine, cosine) = angle.sin_cos();
                let value = match (row % 2, column % 2) {
                    (0, 1) => sine,
                    (1, 0) => -sine,
                    _ => cosine,
                };
                Change::Set((gain * value) as f32)
            })?;
        }
        self.edit(model, "layers.0.self_attn.v_proj.weight", |row, column| match row % self.width {
            letter if letter < 4 => Change::one_if(column == self.residue(letter), COPY),
            _ => Change::Keep,
        })?;
        self.edit(model, "layers.0.self_attn.out_proj.weight", |row, column| {
            let (head, letter) = (column / self.width, column % self.width);
            match letter < 4 {
                true => Change::one_if(row == self.neighbour(head, letter), COPY),
                false if row < self.end() => Change::Set(0.0),
                false => Change::Keep,
            }
        })
    }

    /// The second layer's first head: attends to where the neighbours come back, and copies the complement of what is
    /// there to where the residue itself would be.
    fn search(&self, model: &mut TrainedModel) -> Result<()> {
        let name = |part: &str| format!("layers.1.self_attn.{part}.weight");
        let slots = 4 * self.heads;
        self.edit(model, &name("q_proj"), |row, column| match row {
            _ if row < slots => Change::one_if(column == self.neighbour(row / 4, row % 4), FIT),
            _ if row < self.width => Change::Set(0.0),
            _ => Change::Keep,
        })?;
        // What is before a residue lies behind its partner: the other head of a pair of heads.
        self.edit(model, &name("k_proj"), |row, column| match row {
            _ if row < slots => {
                Change::one_if(column == self.neighbour((row / 4) ^ 1, complement(row % 4)), FIT)
            }
            _ if row < self.width => Change::Set(0.0),
            _ => Change::Keep,
        })?;
        self.edit(model, &name("v_proj"), |row, column| match row {
            _ if row < 4 => Change::one_if(column == self.residue(complement(row)), COPY),
            _ => Change::Keep,
        })?;
        self.edit(model, &name("out_proj"), |row, column| match column {
            _ if column < 4 => Change::one_if(row == self.residue(column), COPY),
            _ => Change::Keep,
        })
    }

    /// Changes the weights of a matrix by row and column.
    fn edit(
        &self,
        model: &mut TrainedModel,
        name: &str,
        change: impl Fn(usize, usize) -> Change,
    ) -> Result<()> {
        let missing = || Error::internal(format!("tensor {name} is missing"));
        let tensor = model.tensors.get_mut(name).ok_or_else(missing)?;
        let mut values = super::model::values(tensor)?;
        let columns = tensor.dims().last().copied().unwrap_or(1);
        for (i, value) in values.iter_mut().enumerate() {
            match change(i / columns, i % columns) {
                Change::Keep => {}
                Change::Set(new) => *value = new,
            }
        }
        *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).map_err(super::engine)?;
        Ok(())
    }
}

fn complement(letter: usize) -> usize {
    3 - letter
}

/// Residues away that a head of the first layer looks: 1 before, 1 after, 2 before ...
fn offset(head: usize) -> f64 {
    let distance = (head / 2 + 1) as f64;
    if head.is_multiple_of(2) { -distance } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tensor::MaskedLm;
    use crate::model::{Dimensions, rna_fm};
    use crate::tokenizer::rna_fm as alphabet;
    use crate::train::hairpins::hairpin;

    fn model(hidden_size: usize, heads: usize) -> TrainedModel {
        let dimensions = Dimensions {
            num_hidden_layers: 2,
            hidden_size,
            num_attention_heads: heads,
            intermediate_size: 64,
            max_positions: 256,
        };
        TrainedModel::random(&rna_fm::architecture(dimensions), 1).unwrap()
    }

    /// Share of hidden residues of long stems whose letter has the highest logit of the four.
    fn found(model: &TrainedModel) -> f64 {
        let tokenizer = alphabet();
        let lm = MaskedLm::new(&model.architecture, model.tensors.clone()).unwrap();
        let right = |number: u64| {
            let mut tokens = hairpin((&tokenizer, 256), 1, number, 1.0).tokens;
            // Flanks end within the first 9 tokens, and strands are 10 long or more.
            let position = 13;
            let hidden = std::mem::replace(&mut tokens[position], tokenizer.mask);
            let batch = lm.batch(tokenizer.mask, [&tokens[..]].into_iter()).unwrap();
            let logits = lm.logits(&lm.hidden(&batch).unwrap()).unwrap().to_vec2::<f32>().unwrap();
            let letter = (4..8).max_by(|&a, &b| logits[position][a].total_cmp(&logits[position][b]));
            letter == Some(hidden as usize)
        };
        (0..200).filter(|&number| right(number)).count() as f64 / 200.0
    }

    #[test]
    fn partners_are_found_without_any_training() {
        let mut searching = model(64, 4);
        look_for_pairs(&mut searching, &alphabet()).unwrap();
        let (by_search, by_chance) = (found(&searching), found(&model(64, 4)));
        assert!(by_search > 0.6 && by_chance < 0.4, "{by_search} {by_chance}");
    }

    #[test]
    fn sizes_without_room_are_refused() {
        for (hidden_size, heads) in [(32, 4), (64, 8), (24, 1)] {
            let error = look_for_pairs(&mut model(hidden_size, heads), &alphabet()).unwrap_err();
            assert!(error.message.contains("--pairing-start"), "{error}");
        }
    }
}
