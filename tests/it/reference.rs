//! Scores against the official packages' (PyTorch autograd): `tests/fixtures/rna_fm`, made as its README says.

use bioprune::batching::{Example, View};
use bioprune::influence::{
    Curvature, CurvatureForm, CurvatureSum, Damping, Estimator, Gradients, Objective, PAPER_TOKENS, Score,
    Scorer, Task, accumulate,
};
use bioprune::model::{Model, Placement, load};
use bioprune::storage::Storage;
use bioprune::tokenizer::rna_fm_as_published;
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Inputs {
    sequences: Vec<String>,
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

pub fn open(path: &str) -> Model {
    open_on(path, &Placement::Cpu)
}

fn open_on(path: &str, placement: &Placement) -> Model {
    load(fixture(path).to_str().unwrap(), &Storage::from_env().unwrap(), placement).unwrap()
}

pub fn tiny_model() -> Model {
    open("rna_fm/RNA-FM_tiny.pth")
}

/// A folder of fixtures, the model in it, and the family that it must be found to be.
pub const MODELS: [(&str, &str, &str); 6] = [
    ("rna_fm", "RNA-FM_tiny.pth", "rna-fm"),
    ("rna_fm_multimolecule", "", "rna-fm"),
    ("esm2_hf", "", "esm-2"),
    ("bert", "", "bert"),
    ("esmc", "esmc_tiny.pth", "esmc"),
    ("esm2", "esm2_tiny.pt", "esm-2"),
];

fn values(tensors: &HashMap<String, Tensor>, name: &str) -> Vec<f32> {
    tensors[name].flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn losses_gradients_curvature_and_influence_are_those_of_the_official_packages() {
    for (folder, file, family) in MODELS {
        let model = open(&format!("{folder}/{file}"));
        assert_eq!(model.info.family, family);
        compare(folder, &model);
    }
}

fn compare(folder: &str, model: &Model) {
    let inputs: Inputs =
        serde_json::from_slice(&std::fs::read(fixture(&format!("{folder}/inputs.json"))).unwrap()).unwrap();
    let expected =
        candle_core::safetensors::load(fixture(&format!("{folder}/cases.safetensors")), &Device::Cpu)
            .unwrap();
    let d = model.head.hidden_size;
    for (objective, prefix) in [("reconstruction", "reconstruction"), ("masked-lm", "masked_lm")] {
        let examples: Vec<Example> = inputs
            .cases
            .iter()
            .filter(|case| case.objective == objective)
            .map(|case| Example {
                targets: case.target.clone(),
                views: vec![View { input: case.input.clone(), positions: case.positions.clone(), pads: 0 }],
            })
            .collect();
        let expected = |name: &str| values(&expected, &format!("{prefix}.{name}"));

        let mut gradients = Gradients::new(model);
        let mut sum = CurvatureSum::new(d);
        let (mut first, mut losses) = (Vec::new(), Vec::new());
        gradients
            .run(&examples, |index, record| {
                let mut gradient = vec![0.0; d * d];
                record.expand(&mut gradient, &mut Default::default());
                sum.add(&gradient).unwrap();
                losses.push(record.loss as f32);
                if index < 4 {
                    first.extend(gradient);
                }
            })
            .unwrap();
        let diagonal: Vec<f32> = sum.diagonal().into_iter().map(|f| f as f32).collect();
        let curvature =
            Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Absolute(inputs.damping)).unwrap();
        let mut scorer = Scorer::new(&curvature, Estimator::Plain);
        let mut scores = Vec::new();
        gradients.run(&examples, |_, record| scores.push(scorer.score(&record))).unwrap();
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
            println!("{folder} {objective} {name}: largest error {error:.2e}");
            assert!(
                error <= tolerance,
                "{folder} {objective} {name}: error {error:e} is above {tolerance:e}"
            );
        }

        // Identity: over the curvature's own records the mean plain influence is sum F/(F + damping).
        let mean = influence.iter().map(|x| *x as f64).sum::<f64>() / influence.len() as f64;
        let identity: f64 = sum.diagonal().iter().map(|f| f / (f + inputs.damping)).sum();
        assert!((mean / identity - 1.0).abs() < 1e-5, "{mean} against {identity}");
    }
}

/// Plain influence of a few records, masked, given the model's own curvature.
fn influence(model: &Model, sequences: &[String]) -> Vec<f32> {
    let task = Task { objective: Objective::MaskedLm, mask_passes: 2, seed: 3 };
    let encode = |sequence: &String| model.tokenizer.encode(sequence.as_bytes(), 512).unwrap().ids;
    let long = sequences.iter().filter(|sequence| sequence.len() > 20);
    let examples: Vec<Example> =
        long.take(8).map(|sequence| task.example(encode(sequence), &model.tokenizer)).collect();
    let mut gradients = Gradients::new(model);
    let mut sum = CurvatureSum::new(model.head.hidden_size);
    accumulate(&mut gradients, &examples, &mut sum).unwrap();
    let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).unwrap();
    let mut scorer = Scorer::new(&curvature, Estimator::Plain);
    let mut scores = Vec::new();
    gradients.run(&examples, |_, record| scores.push(scorer.score(&record).influence)).unwrap();
    scores
}

/// The form that trains: in f64 it tells how far the f32 engine is off. And what bf16 costs, in that form and the engine's.
#[test]
fn every_form_and_precision_of_every_family_agrees_with_the_engine() {
    for (folder, file, _) in MODELS {
        let path = format!("{folder}/{file}");
        let inputs: Inputs =
            serde_json::from_slice(&std::fs::read(fixture(&format!("{folder}/inputs.json"))).unwrap())
                .unwrap();
        let engine = influence(&open(&path), &inputs.sequences);
        for (placement, tolerance) in [
            (Placement::Candle(DType::F64), 2e-5),
            (Placement::Candle(DType::F32), 2e-5),
            (Placement::Candle(DType::BF16), 0.2),
            (Placement::CpuBf16, 0.2),
        ] {
            let error = relative(&influence(&open_on(&path, &placement), &inputs.sequences), &engine);
            println!("{folder}, {placement:?}: largest difference {error:.2e}");
            assert!(error <= tolerance, "{folder}, {placement:?}: {error:e} is above {tolerance:e}");
        }
    }
}

/// The same through the command line, where the tokenizers make the tokens.
#[test]
fn the_command_line_scores_sequences_as_the_official_packages_do() {
    for (folder, file, _) in MODELS {
        let inputs: Inputs =
            serde_json::from_slice(&std::fs::read(fixture(&format!("{folder}/inputs.json"))).unwrap())
                .unwrap();
        let expected =
            candle_core::safetensors::load(fixture(&format!("{folder}/cases.safetensors")), &Device::Cpu)
                .unwrap();
        let work = tempfile::tempdir().unwrap();
        let fasta: String =
            inputs.sequences.iter().enumerate().map(|(i, sequence)| format!(">{i}\n{sequence}\n")).collect();
        std::fs::write(work.path().join("in.fa"), fasta).unwrap();
        assert_cmd::Command::cargo_bin("bioprune")
            .unwrap()
            .current_dir(work.path())
            .args([
                "score",
                "in.fa",
                "-o",
                "scores.tsv",
                "--objective",
                "reconstruction",
                "--estimator",
                "plain",
            ])
            .args(["--sample", "all", "--damping", "1e-8", "--model"])
            .arg(fixture(&format!("{folder}/{file}")))
            .assert()
            .success();
        let influence = influence_column(&work.path().join("scores.tsv"));
        let error = relative(&influence, &values(&expected, "reconstruction.influence"));
        println!("{folder} through the command line: largest error {error:.2e}");
        assert!(error <= 1e-4, "{folder}: error {error:e}");
    }
}

#[test]
fn the_paper_preset_gives_the_published_scores_and_contradictions_are_refused() {
    let expected =
        candle_core::safetensors::load(fixture("rna_fm/paper_code.safetensors"), &Device::Cpu).unwrap();
    let work = tempfile::tempdir().unwrap();
    let lines = std::fs::read_to_string(fixture("rna_fm/paper_code.txt")).unwrap();
    let fasta: String = lines
        .lines()
        .enumerate()
        .map(|(i, line)| format!(">{i}\n{}\n", line.split_ascii_whitespace().next().unwrap_or("")))
        .collect();
    std::fs::write(work.path().join("in.fa"), fasta).unwrap();
    let run = |more: &[&str]| {
        assert_cmd::Command::cargo_bin("bioprune")
            .unwrap()
            .current_dir(work.path())
            .args(["score", "in.fa", "-o", "scores.tsv", "--preset", "paper", "--model"])
            .arg(fixture("rna_fm/RNA-FM_tiny.pth"))
            .args(more)
            .assert()
    };
    run(&[]).success();
    let influence = influence_column(&work.path().join("scores.tsv"));
    let error = relative(&influence, &values(&expected, "paper_code.influence"));
    assert!(error <= 1e-4, "error {error:e}");
    for more in [
        ["--estimator", "debiased"],
        ["--objective", "reconstruction"],
        ["--sample", "10"],
        ["--damping", "1"],
    ] {
        run(&more).code(2);
    }
}

fn influence_column(scores: &std::path::Path) -> Vec<f32> {
    let text = std::fs::read_to_string(scores).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let column = lines.next().unwrap().split('\t').position(|name| name == "influence").unwrap();
    lines.map(|line| line.split('\t').nth(column).unwrap().parse().unwrap()).collect()
}

/// The published pruning program itself, on the lines that it read.
#[test]
fn paper_code_scores_are_those_of_the_published_program() {
    let model = tiny_model();
    let tokenizer = rna_fm_as_published();
    let expected =
        candle_core::safetensors::load(fixture("rna_fm/paper_code.safetensors"), &Device::Cpu).unwrap();
    let d = model.head.hidden_size;
    let task = Task { objective: Objective::PaperCode, mask_passes: 7, seed: 0 };
    let tokens: Vec<Vec<u32>> =
        expected["paper_code.tokens"].to_dtype(DType::U32).unwrap().to_vec2().unwrap();
    let lines = std::fs::read_to_string(fixture("rna_fm/paper_code.txt")).unwrap();
    let examples: Vec<Example> = lines
        .lines()
        .zip(&tokens)
        .map(|(line, padded)| {
            let sequence = line.split_ascii_whitespace().next().unwrap_or("");
            let ids = tokenizer.encode(sequence.as_bytes(), PAPER_TOKENS).unwrap().ids;
            assert_eq!(ids, padded[..ids.len()], "{sequence}");
            assert!(padded[ids.len()..].iter().all(|token| *token == tokenizer.pad));
            task.example(ids, &tokenizer)
        })
        .collect();
    assert_eq!(examples.len(), tokens.len());

    let mut gradients = Gradients::new(&model);
    let mut sum = CurvatureSum::new(d);
    accumulate(&mut gradients, &examples, &mut sum).unwrap();
    let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Absolute(1e-8)).unwrap();
    let mut scorer = Scorer::new(&curvature, Estimator::Plain);
    let mut scores = Vec::new();
    gradients.run(&examples, |_, record| scores.push(scorer.score(&record))).unwrap();
    let found = |value: fn(&Score) -> f32| -> Vec<f32> { scores.iter().map(value).collect() };
    let diagonal: Vec<f32> = sum.diagonal().into_iter().map(|f| f as f32).collect();
    let errors = [
        ("loss", relative(&found(|s| s.loss), &values(&expected, "paper_code.loss")), 1e-4),
        ("influence", relative(&found(|s| s.influence), &values(&expected, "paper_code.influence")), 1e-4),
        (
            "gradient norm",
            relative(&found(|s| s.grad_norm), &values(&expected, "paper_code.grad_norm")),
            1e-4,
        ),
        ("curvature", of_maximum(&diagonal, &values(&expected, "paper_code.diag_fisher")), 1e-5),
    ];
    for (name, error, tolerance) in errors {
        println!("paper-code {name}: largest error {error:.2e}");
        assert!(error <= tolerance, "paper-code {name}: error {error:e} is above {tolerance:e}");
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
