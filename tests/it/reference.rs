//! Scores against the official packages' (PyTorch autograd): `tests/fixtures/rna_fm`, made as its README says.

use bioprune::batching::{Example, View};
use bioprune::influence::{Curvature, CurvatureForm, CurvatureSum, Damping, Estimator, Gradients, Scorer};
use bioprune::model::{Model, load};
use bioprune::storage::Storage;
use candle_core::{Device, Tensor};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Inputs {
    damping: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    objective: String,
    input: Vec<u32>,
    target: Vec<u32>,
    positions: Vec<u32>,
}

pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

pub fn tiny_model() -> Model {
    let path = fixture("rna_fm/RNA-FM_tiny.pth");
    load(path.to_str().unwrap(), &Storage::from_env().unwrap()).unwrap()
}

fn values(tensors: &HashMap<String, Tensor>, name: &str) -> Vec<f32> {
    tensors[name].flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn losses_gradients_curvature_and_influence_are_those_of_the_official_package() {
    let model = tiny_model();
    let inputs: Inputs =
        serde_json::from_slice(&std::fs::read(fixture("rna_fm/inputs.json")).unwrap()).unwrap();
    let expected = candle_core::safetensors::load(fixture("rna_fm/cases.safetensors"), &Device::Cpu).unwrap();
    let d = model.head.hidden_size;
    for (objective, prefix) in [("reconstruction", "reconstruction"), ("masked-lm", "masked_lm")] {
        let examples: Vec<Example> = inputs
            .cases
            .iter()
            .filter(|case| case.objective == objective)
            .map(|case| Example {
                targets: case.target.clone(),
                views: vec![View { input: case.input.clone(), positions: case.positions.clone() }],
            })
            .collect();
        let expected = |name: &str| values(&expected, &format!("{prefix}.{name}"));

        let mut gradients = Gradients::new(&model);
        let mut sum = CurvatureSum::new(d);
        let (mut first, mut losses) = (Vec::new(), Vec::new());
        gradients.run(&examples, |index, record| {
            let mut gradient = vec![0.0; d * d];
            record.expand(&mut gradient, &mut Default::default());
            sum.add(&gradient).unwrap();
            losses.push(record.loss as f32);
            if index < 4 {
                first.extend(gradient);
            }
        });
        let diagonal: Vec<f32> = sum.diagonal().into_iter().map(|f| f as f32).collect();
        let curvature =
            Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Absolute(inputs.damping)).unwrap();
        let mut scorer = Scorer::new(&curvature, Estimator::Plain);
        let mut scores = Vec::new();
        gradients.run(&examples, |_, record| scores.push(scorer.score(&record)));
        let influence: Vec<f32> = scores.iter().map(|score| score.influence).collect();
        let norms: Vec<f32> = scores.iter().map(|score| score.grad_norm).collect();

        let errors = [
            ("loss", relative(&losses, &expected("loss")), 1e-5),
            ("influence", relative(&influence, &expected("influence")), 1e-4),
            ("gradient norm", relative(&norms, &expected("grad_norm")), 1e-4),
            ("gradient", of_maximum(&first, &expected("grad_first4")), 1e-4),
            ("curvature", of_maximum(&diagonal, &expected("diag_fisher")), 1e-5),
        ];
        for (name, error, tolerance) in errors {
            println!("{objective} {name}: largest error {error:.2e}");
            assert!(error <= tolerance, "{objective} {name}: error {error:e} is above {tolerance:e}");
        }

        // Identity: over the curvature's own records the mean plain influence is sum F/(F + damping).
        let mean = influence.iter().map(|x| *x as f64).sum::<f64>() / influence.len() as f64;
        let identity: f64 = sum.diagonal().iter().map(|f| f / (f + inputs.damping)).sum();
        assert!((mean / identity - 1.0).abs() < 1e-5, "{mean} against {identity}");
    }
}

/// The largest relative error.
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(f, e)| ((f - e) / e).abs() as f64).fold(0.0, f64::max)
}

/// The largest error over the largest expected value.
fn of_maximum(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let maximum = expected.iter().fold(0f32, |m, e| m.max(e.abs()));
    found.iter().zip(expected).map(|(f, e)| ((f - e).abs() / maximum) as f64).fold(0.0, f64::max)
}
