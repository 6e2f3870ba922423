//! The differentiable encoder against the official packages, and its kernels against candle's own gradients.

use super::*;
use crate::model::{Dimensions, Weights, esm2, family, rna_fm};
use candle_core::{DType, Device, Var};

const MASK: u32 = 24;

fn dimensions() -> Dimensions {
    Dimensions {
        num_hidden_layers: 2,
        hidden_size: 24,
        num_attention_heads: 3,
        intermediate_size: 40,
        max_positions: 32,
    }
}

fn config() -> Architecture {
    rna_fm::architecture(dimensions())
}

/// Every choice of an architecture is made in one of these.
fn architectures() -> [Architecture; 4] {
    let esm2 = esm2::architecture(dimensions());
    let gated = Architecture {
        feed_forward: FeedForward::SwiGlu,
        linear_biases: false,
        query_key_norm: true,
        final_norm_bias: false,
        residual_scale: 0.7,
        tied_decoder: false,
        logits: 40,
        token_dropout: false,
        ..esm2.clone()
    };
    let norm_after = Architecture {
        norm: NormPlacement::After,
        token_types: true,
        token_dropout: false,
        epsilon: 1e-12,
        ..config()
    };
    [config(), esm2, gated, norm_after]
}

/// Weights that are far from any symmetry, by a fixed rule.
fn variables(config: &Architecture, dtype: DType) -> BTreeMap<String, Var> {
    let shapes = config.tensor_shapes().into_iter().enumerate();
    let variable = |(k, (name, shape)): (usize, (String, Vec<usize>))| {
        let n: usize = shape.iter().product();
        let offset = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        let value = |i: usize| offset + 0.4 * ((i * 37 + k * 101) as f32 * 0.7123).sin();
        let tensor = Tensor::from_vec((0..n).map(value).collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap();
        (name, Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap())
    };
    shapes.map(variable).collect()
}

fn model(config: &Architecture, variables: &BTreeMap<String, Var>) -> MaskedLm {
    let tensors = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    MaskedLm::new(config, tensors).unwrap()
}

fn batch(model: &MaskedLm) -> Batch {
    let sequences: [&[u32]; 4] =
        [&[0, 4, 24, 6, 7, 7, 2], &[0, 2], &[0, 5, 5, 24, 24, 6, 4, 7, 9, 18, 4, 2], &[6]];
    model.batch(MASK, sequences.into_iter()).unwrap()
}

/// Sequence and token of what is predicted.
const POSITIONS: [(usize, u32); 6] = [(0, 2), (1, 0), (2, 3), (2, 4), (2, 11), (3, 0)];
const TARGETS: [u32; 6] = [5, 2, 7, 4, 2, 6];

fn loss(model: &MaskedLm) -> Tensor {
    let batch = batch(model);
    let starts: Vec<usize> = batch.sequences().map(|rows| rows.start).collect();
    let positions = POSITIONS.map(|(sequence, token)| starts[sequence] as u32 + token);
    let losses = model.losses(&batch, &positions, &TARGETS).unwrap();
    // Different weights, so that no gradient is right by symmetry.
    let weights = Tensor::new(&[1f32, 2., 3., 4., 5., 6.], &Device::Cpu).unwrap();
    let weighted = (&losses * weights.to_dtype(losses.dtype()).unwrap()).unwrap().sum_all().unwrap();
    let sum = model.loss(&batch, &positions, &TARGETS).unwrap();
    let (together, apart) = (doubles(&sum)[0], doubles(&losses).iter().sum::<f64>());
    assert!((together - apart).abs() < 1e-5 * apart, "{together} {apart}");
    (weighted + sum).unwrap()
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// f64 goes through candle's own operations, f32 through the kernels of this folder.
#[test]
fn the_kernels_give_the_values_and_gradients_of_candles_operations() {
    for config in architectures() {
        let (fast, slow) = (variables(&config, DType::F32), variables(&config, DType::F64));
        let (fast_loss, slow_loss) = (loss(&model(&config, &fast)), loss(&model(&config, &slow)));
        let (a, b) = (doubles(&fast_loss)[0], doubles(&slow_loss)[0]);
        assert!((a - b).abs() < 1e-5 * b.abs(), "{a} {b}");
        let (fast_gradients, slow_gradients) = (fast_loss.backward().unwrap(), slow_loss.backward().unwrap());
        for (name, var) in &fast {
            let fast = doubles(fast_gradients.get(var).unwrap());
            let slow = doubles(slow_gradients.get(&slow[name]).unwrap());
            // The key's bias has no influence on a softmax: its gradient is rounding alone.
            let largest = slow.iter().fold(1e-2f64, |m, g| m.max(g.abs()));
            for (fast, slow) in fast.iter().zip(&slow) {
                assert!((fast - slow).abs() < 3e-5 * largest, "{config:?} {name}: {fast} {slow}");
            }
        }
    }
}

#[test]
fn gradients_are_the_slopes_of_finite_differences() {
    // Far enough for rounding not to count, and not so far that the slope changes.
    const CHANGE: f64 = 0.1;
    const FURTHEST: f64 = 1e-2;
    for config in architectures() {
        let vars = variables(&config, DType::F32);
        let gradients = loss(&model(&config, &vars)).backward().unwrap();
        for (name, var) in &vars {
            let gradient = doubles(gradients.get(var).unwrap());
            // Along its own gradient a loss changes most, and rounding weighs least.
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if norm < 1e-2 {
                continue;
            }
            let step = FURTHEST.min(CHANGE / norm);
            let weights = doubles(var);
            let moved = |sign: f64| {
                let values: Vec<f32> =
                    weights.iter().zip(&gradient).map(|(w, g)| (w + sign * step * g / norm) as f32).collect();
                let mut tensors: BTreeMap<String, Tensor> =
                    vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
                tensors.insert(name.clone(), Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap());
                doubles(&loss(&MaskedLm::new(&config, tensors).unwrap()))[0]
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            assert!((slope - norm).abs() < 0.02 * norm.max(0.1), "{config:?} {name}: {slope} {norm}");
        }
    }
}

#[test]
fn a_packed_sequence_is_as_if_alone() {
    let config = config();
    let model = model(&config, &variables(&config, DType::F32));
    let hidden = doubles(&model.hidden(&batch(&model)).unwrap());
    let alone: &[u32] = &[0, 5, 5, 24, 24, 6, 4, 7, 9, 18, 4, 2];
    let alone = model.batch(MASK, [alone].into_iter()).unwrap();
    let alone = doubles(&model.hidden(&alone).unwrap());
    let start = 9 * config.dimensions.hidden_size;
    for (packed, alone) in hidden[start..].iter().zip(&alone) {
        assert!((packed - alone).abs() < 1e-5, "{packed} {alone}");
    }
}

#[test]
fn wrong_shapes_and_tokens_are_refused_by_name() {
    let config = config();
    let mut tensors: BTreeMap<String, Tensor> =
        variables(&config, DType::F32).into_iter().map(|(name, var)| (name, var.into_inner())).collect();
    tensors.insert("layers.1.fc1.bias".into(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    let error = MaskedLm::new(&config, tensors).err().unwrap().to_string();
    assert!(
        error.contains("layers.1.fc1.bias") && error.contains("[3]") && error.contains("[40]"),
        "{error}"
    );
    for sequence in [&[][..], &[25], &[4; 33]] {
        for form in [Form::Packed, Form::Padded] {
            assert!(Batch::new(&config, MASK, [sequence].into_iter(), form).is_err(), "{sequence:?}");
        }
    }
}

/// The official packages' losses on small models of random weights; see tests/fixtures.
#[test]
fn losses_match_the_official_packages() {
    for (folder, file) in [
        ("rna_fm", "RNA-FM_tiny.pth"),
        ("rna_fm_multimolecule", "model.safetensors"),
        ("esm2", "esm2_tiny.pt"),
        ("esm2_hf", "model.safetensors"),
        ("esmc", "esmc_tiny.pth"),
        ("bert", "model.safetensors"),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
        let mut weights = Weights::open(&path.join(file), file).unwrap();
        let family::Read { architecture, tokenizer } = family::read(&mut weights).unwrap();
        let take = |(name, shape): (String, Vec<usize>)| {
            let mut values = weights.take(&name, &shape).unwrap();
            if name == "embed_tokens.weight" && architecture.zero_mask_row {
                let d = architecture.dimensions.hidden_size;
                values[tokenizer.mask as usize * d..][..d].fill(0.0);
            }
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        };
        let tensors = architecture.tensor_shapes().into_iter().map(take).collect();
        let model = MaskedLm::new(&architecture, tensors).unwrap();
        let json = std::fs::read(path.join("inputs.json")).unwrap();
        let inputs: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let expected = candle_core::safetensors::load(path.join("cases.safetensors"), &Device::Cpu).unwrap();
        let list = |case: &serde_json::Value, key: &str| -> Vec<u32> {
            serde_json::from_value(case[key].clone()).unwrap()
        };
        for case in inputs["cases"].as_array().unwrap() {
            let [input, target, positions] = ["input", "target", "positions"].map(|key| list(case, key));
            let targets: Vec<u32> = positions.iter().map(|&position| target[position as usize]).collect();
            let batch = model.batch(tokenizer.mask, [&input[..]].into_iter()).unwrap();
            let losses = doubles(&model.losses(&batch, &positions, &targets).unwrap());
            let loss = losses.iter().sum::<f64>() / losses.len() as f64;
            let objective = case["objective"].as_str().unwrap().replace('-', "_");
            let record = case["record"].as_u64().unwrap() as usize;
            let exact = doubles(&expected[&format!("{objective}.loss")])[record];
            assert!((loss / exact - 1.0).abs() < 1e-4, "{folder} {objective} {record}: {loss} {exact}");
        }
    }
}
