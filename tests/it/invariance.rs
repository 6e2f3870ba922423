//! Identities of the scores: the same bits in any batch and order, and formulas against their brute force.

use crate::reference::{MODELS, open, tiny_model};
use bioprune::batching::{Example, PackedTokens};
use bioprune::error::{Code, Error, Result};
use bioprune::influence::{
    Curvature, CurvatureForm, CurvatureSum, Damping, Estimator, Gradients, Objective, Score, Scorer, Task,
    accumulate,
};
use bioprune::model::{Encoder, Model, Workspace};
use bioprune::pipeline::CancelToken;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAPER: Task = Task { objective: Objective::PaperCode, mask_passes: 7, seed: 1 };
const TASKS: [Task; 3] = [
    Task { objective: Objective::MaskedLm, mask_passes: 7, seed: 1 },
    Task { objective: Objective::MaskedLm, mask_passes: 2, seed: 1 },
    Task { objective: Objective::Reconstruction, mask_passes: 7, seed: 1 },
];

fn examples(model: &Model, task: Task, sequences: &[String]) -> Vec<Example> {
    let encode = |sequence: &String| model.tokenizer.encode(sequence.as_bytes(), 1024).unwrap().ids;
    sequences.iter().map(|sequence| task.example(encode(sequence), &model.tokenizer)).collect()
}

fn curvature_of(model: &Model, batches: &[Vec<Example>]) -> CurvatureSum {
    let mut sum = CurvatureSum::new(model.head.hidden_size);
    let mut gradients = Gradients::new(model);
    batches.iter().for_each(|batch| accumulate(&mut gradients, batch, &mut sum).unwrap());
    sum
}

fn scores(
    model: &Model,
    curvature: &Curvature,
    estimator: Estimator,
    batches: &[Vec<Example>],
) -> Vec<Score> {
    let mut gradients = Gradients::new(model);
    let mut scorer = Scorer::new(curvature, estimator);
    let mut scores = Vec::new();
    for batch in batches {
        gradients.run(batch, |_, record| scores.push(scorer.score(&record))).unwrap();
    }
    scores
}

fn sequences() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ACGU]{1,40}|[ACGUN]{50,90}|[ACGU]{100,140}", 2..9)
}

/// Letters that every family's alphabet has; to a protein model U, where it has it, is selenocysteine.
fn sequences_for_all() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ACG]{1,40}|[ACGN]{50,90}|[ACG]{100,140}", 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_record_scores_the_same_bits_alone_in_a_batch_and_in_any_order(sequences in sequences(), cut in 1usize..8) {
        let model = tiny_model();
        for task in TASKS.into_iter().chain([PAPER]) {
            is_invariant(&model, task, &sequences, cut);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn it_does_so_in_every_family(sequences in sequences_for_all(), cut in 1usize..5) {
        for (folder, file, _) in MODELS {
            let model = open(&format!("{folder}/{file}"));
            for task in TASKS {
                is_invariant(&model, task, &sequences, cut);
            }
        }
    }
}

/// Curvature and scores have the same bits with the records in one batch, in two, alone, and in reverse.
fn is_invariant(model: &Model, task: Task, sequences: &[String], cut: usize) {
    let together = examples(model, task, sequences);
    let cut = cut.min(together.len());
    let two_batches = [together[..cut].to_vec(), together[cut..].to_vec()];
    let alone: Vec<_> = together.iter().map(|example| vec![example.clone()]).collect();
    let reversed: Vec<_> = together.iter().rev().cloned().collect();

    let sum = curvature_of(model, std::slice::from_ref(&together));
    for other in [&two_batches[..], &alone, std::slice::from_ref(&reversed)] {
        assert_eq!(curvature_of(model, other), sum);
    }
    let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).unwrap();
    for estimator in [Estimator::Plain, Estimator::Debiased] {
        let expected = scores(model, &curvature, estimator, std::slice::from_ref(&together));
        assert!(expected.iter().any(|score| score.influence != 0.0));
        assert_eq!(scores(model, &curvature, estimator, &two_batches), expected);
        assert_eq!(scores(model, &curvature, estimator, &alone), expected);
        let mut backwards = scores(model, &curvature, estimator, std::slice::from_ref(&reversed));
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
}

#[test]
fn the_debiased_estimator_is_the_sum_over_pairs_of_different_positions() {
    let model = tiny_model();
    let d = model.head.hidden_size;
    let sequences = ["ACGUACGGGUUACG", "AC", "A", "GGGGGGGGGGCCCCCCACGUAAAUUUU"].map(String::from);
    for task in TASKS {
        let batch = examples(&model, task, &sequences);
        let sum = curvature_of(&model, std::slice::from_ref(&batch));
        let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).unwrap();
        let mut scorer = Scorer::new(&curvature, Estimator::Debiased);
        Gradients::new(&model)
            .run(&batch, |_, record| {
                let n = record.positions();
                let pair = |s: usize, t: usize| -> f64 {
                    let product = |index: usize, at: usize| {
                        record.delta[at * d + index / d] as f64 * record.hidden[at * d + index % d] as f64
                    };
                    (0..d * d).map(|i| product(i, s) * product(i, t) * curvature.inverse[i] as f64).sum()
                };
                let pairs = (0..n).flat_map(|s| (0..n).map(move |t| (s, t))).filter(|(s, t)| s != t);
                let brute: f64 = pairs.map(|(s, t)| pair(s, t)).sum();
                let expected = if n < 2 { 0.0 } else { brute * n as f64 / (n as f64 - 1.0) };
                let found = scorer.score(&record).influence as f64;
                let scale: f64 = (0..n).map(|t| pair(t, t)).sum::<f64>() + expected.abs();
                assert!(
                    (found - expected).abs() <= 1e-5 * scale,
                    "{n} positions: {found} against {expected}"
                );
            })
            .unwrap();
    }
}

#[test]
fn identity_curvature_gives_the_squared_gradient_norm() {
    let model = tiny_model();
    let batch = examples(&model, TASKS[0], &["ACGUACGGGUUACG".to_string()]);
    let sum = curvature_of(&model, std::slice::from_ref(&batch));
    let curvature = Curvature::new(&sum, CurvatureForm::Identity, Damping::Absolute(1e-8)).unwrap();
    let score = scores(&model, &curvature, Estimator::Plain, &[batch])[0];
    assert!((score.influence / (score.grad_norm * score.grad_norm) - 1.0).abs() < 1e-5);
}

#[test]
fn records_without_a_definite_residue_score_zero() {
    let model = tiny_model();
    let batch = examples(&model, TASKS[0], &["NNNN".to_string(), "ACGU".to_string()]);
    let sum = curvature_of(&model, std::slice::from_ref(&batch));
    let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).unwrap();
    for estimator in [Estimator::Plain, Estimator::Debiased] {
        let score = scores(&model, &curvature, estimator, std::slice::from_ref(&batch))[0];
        assert_eq!(score, Score { loss: 0.0, grad_norm: 0.0, influence: 0.0, positions: 0 });
    }
}

/// A device that holds so many tokens at once and no more.
struct Small {
    encoder: Box<dyn Encoder>,
    most: usize,
    refused: Arc<AtomicUsize>,
}

impl Encoder for Small {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        if tokens.ids.len() > self.most {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::new(Code::OutOfMemory, "too small"));
        }
        self.encoder.encode(tokens, workspace)
    }
}

#[test]
fn a_batch_that_memory_does_not_hold_is_computed_in_parts_to_the_same_bits() {
    let task = TASKS[2];
    let whole = tiny_model();
    let sequences: Vec<String> = (20..60).map(|length| "GGCAUCUA".repeat(8)[..length].to_string()).collect();
    let batches = [examples(&whole, task, &sequences), examples(&whole, task, &sequences)];
    let sum = curvature_of(&whole, &batches);
    let curvature = Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.01)).unwrap();
    let expected = scores(&whole, &curvature, Estimator::Debiased, &batches);

    let refused = Arc::new(AtomicUsize::new(0));
    let small = Small { encoder: tiny_model().encoder, most: 300, refused: refused.clone() };
    let model = Model { encoder: Box::new(small), ..whole };
    assert_eq!(scores(&model, &curvature, Estimator::Debiased, &batches), expected);
    // 1660 tokens and more: halved three times at most, and remembered for the second batch
    let refused = refused.load(Ordering::Relaxed);
    assert!((1..=3).contains(&refused), "{refused}");

    let longest = examples(&model, task, &["ACGU".repeat(100)]);
    let error = Gradients::new(&model).run(&longest, |_, _| unreachable!()).unwrap_err();
    assert_eq!(error.code, Code::OutOfMemory);
}

#[test]
fn a_batch_ends_once_the_job_is_canceled() {
    let cancel = CancelToken::default();
    let model = tiny_model();
    let batch = examples(&model, TASKS[2], &["ACGU".repeat(10)]);
    let mut gradients = Gradients::new(&model).ended_by(cancel.clone());
    gradients.run(&batch, |_, _| ()).unwrap();
    cancel.cancel();
    assert_eq!(gradients.run(&batch, |_, _| unreachable!()).unwrap_err().code, Code::Canceled);
}
