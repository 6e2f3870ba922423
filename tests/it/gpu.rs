//! The engine of GPUs against that of CPUs, on the first GPU: `just gpu-check` runs these.

mod training;

#[path = "../../benches/support/random_model.rs"]
mod random_model;

use crate::reference::{MODELS, fixture};
use bioprune::batching::{Example, PackedTokens};
use bioprune::influence::{
    Curvature, CurvatureForm, CurvatureSum, Damping, Engine, Estimator, Objective, Score, Task,
};
use bioprune::model::{
    DeviceChoice, Dimensions, Model, Placement, PrecisionChoice, Workspace, esm2, esmc, load, rna_fm,
};
use bioprune::pipeline::CancelToken;
use bioprune::random::SplitMix;
use bioprune::storage::Storage;

const RECONSTRUCTION: Task = Task { objective: Objective::Reconstruction, mask_passes: 7, seed: 1 };
const MASKED: Task = Task { objective: Objective::MaskedLm, mask_passes: 7, seed: 1 };
const PAPER: Task = Task { objective: Objective::PaperCode, mask_passes: 7, seed: 1 };

fn gpu(precision: PrecisionChoice, batch_tokens: usize) -> Placement {
    Placement::settle(DeviceChoice::Cuda(0), precision, batch_tokens).unwrap().0
}

fn open(path: &str, placement: &Placement) -> Model {
    load(path, &Storage::from_env().unwrap(), placement).unwrap()
}

/// Records of letters that all alphabets have, some longer than what a block of attention takes.
fn examples(model: &Model, task: Task, longest: usize) -> Vec<Example> {
    let mut random = SplitMix::new(7);
    let lengths = [longest, 1, 2, 30, 63, 64, 65, 130, 200, longest - 1];
    let sequence = |length: usize| (0..length).map(|_| b"ACG"[random.below(3)]).collect::<Vec<u8>>();
    let sequences: Vec<_> = lengths.into_iter().map(|length| length.min(longest)).map(sequence).collect();
    let most = model.info.max_tokens as usize;
    let encode = |sequence: &Vec<u8>| model.tokenizer.encode(sequence, most).unwrap().ids;
    sequences.iter().map(|sequence| task.example(encode(sequence), &model.tokenizer)).collect()
}

fn curvature_of(engine: &Engine, batches: &[&[Example]]) -> CurvatureSum {
    let mut accumulator = engine.accumulator(CancelToken::default()).unwrap();
    batches.iter().for_each(|batch| accumulator.run(batch, |_, _| ()).unwrap());
    accumulator.sum
}

fn scores(
    engine: &Engine,
    curvature: &Curvature,
    estimator: Estimator,
    batches: &[&[Example]],
) -> Vec<Score> {
    let mut scorer = engine.scorer(curvature, estimator, CancelToken::default()).unwrap();
    let mut scores = Vec::new();
    batches.iter().for_each(|batch| scorer.run(batch, |_, score| scores.push(score)).unwrap());
    scores
}

fn damped(sum: &CurvatureSum) -> Curvature {
    Curvature::new(sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).unwrap()
}

/// Of the GPU's numbers from the CPU's: relative where numbers are of one size, of the largest where they are not.
#[derive(Debug)]
struct Errors {
    loss: f32,
    norm: f32,
    plain: f32,
    debiased: f32,
    curvature: f64,
}

fn errors(cpu: &Model, gpu: &Model, task: Task, longest: usize) -> Errors {
    let examples = examples(cpu, task, longest);
    let (cpu, gpu) = (Engine::new(cpu).unwrap(), Engine::new(gpu).unwrap());
    let sums = [&cpu, &gpu].map(|engine| curvature_of(engine, &[&examples]));
    let curvature = damped(&sums[0]);
    let [plain, debiased] = [Estimator::Plain, Estimator::Debiased]
        .map(|estimator| [&cpu, &gpu].map(|engine| scores(engine, &curvature, estimator, &[&examples])));
    let relative = |value: fn(&Score) -> f32| {
        let pairs = plain[0].iter().zip(&plain[1]);
        pairs.map(|(a, b)| (value(a) - value(b)).abs() / value(a).abs().max(1e-6)).fold(0.0, f32::max)
    };
    let of_largest = |[expected, found]: &[Vec<Score>; 2]| {
        let largest = expected.iter().map(|score| score.influence.abs()).fold(0.0, f32::max);
        let pairs = expected.iter().zip(found);
        pairs.map(|(a, b)| (a.influence - b.influence).abs() / largest).fold(0.0, f32::max)
    };
    let [expected, found] = sums.map(|sum| sum.diagonal());
    let largest = expected.iter().fold(0.0, |most: f64, f| most.max(*f));
    let curvature = expected.iter().zip(&found).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max);
    Errors {
        loss: relative(|score| score.loss),
        norm: relative(|score| score.grad_norm),
        plain: relative(|score| score.influence),
        debiased: of_largest(&debiased),
        curvature,
    }
}

fn check(name: &str, path: &str, tasks: &[Task], longest: usize) {
    let cpu = open(path, &Placement::Cpu);
    for (precision, most) in [(PrecisionChoice::F32, 1e-3), (PrecisionChoice::Bf16, 0.2)] {
        let on_gpu = open(path, &gpu(precision, 4096));
        for task in tasks {
            let errors = errors(&cpu, &on_gpu, *task, longest);
            println!("{name} {precision:?} {:?}: {errors:?}", task.objective);
            let scores = errors.loss.max(errors.norm).max(errors.plain).max(errors.debiased);
            assert!(
                scores <= most && errors.curvature <= f64::from(most),
                "{name} {precision:?}: {errors:?}"
            );
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_scores_of_every_family_are_those_of_the_cpu() {
    for (folder, file, family) in MODELS {
        let path = fixture(&format!("{folder}/{file}"));
        let tasks =
            if family == "rna-fm" { &[RECONSTRUCTION, MASKED, PAPER][..] } else { &[RECONSTRUCTION, MASKED] };
        let tasks = if folder == "rna_fm" { tasks } else { &tasks[..2] };
        check(folder, path.to_str().unwrap(), tasks, 200);
    }
    for name in ["rna-nano", "protein-nano"] {
        check(name, name, &[RECONSTRUCTION, MASKED], 500);
    }
}

/// Layers as wide as published ones, with random weights.
#[test]
#[ignore = "needs a GPU"]
fn gpu_scores_of_published_widths_are_those_of_the_cpu() {
    let of = |hidden_size, num_attention_heads, intermediate_size| Dimensions {
        num_hidden_layers: 2,
        hidden_size,
        num_attention_heads,
        intermediate_size,
        max_positions: 1024,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (name, architecture) in [
        ("rna-fm", rna_fm::architecture(of(640, 20, 5120))),
        ("esm2-35m", esm2::architecture(of(480, 20, 1920))),
        ("esm2-650m", esm2::architecture(of(1280, 20, 5120))),
        ("esmc-600m", esmc::architecture(of(1152, 18, 3072))),
        ("heads of 10", rna_fm::architecture(of(120, 12, 480))),
        ("heads of 128", esm2::architecture(of(512, 4, 1024))),
    ] {
        random_model::write(&architecture, &path).unwrap();
        check(name, path.to_str().unwrap(), &[RECONSTRUCTION, Task { mask_passes: 1, ..MASKED }], 200);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_scores_are_the_same_bits_in_any_batch_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let dimensions = Dimensions {
        num_hidden_layers: 3,
        hidden_size: 640,
        num_attention_heads: 20,
        intermediate_size: 5120,
        max_positions: 1024,
    };
    random_model::write(&rna_fm::architecture(dimensions), &path).unwrap();
    for precision in [PrecisionChoice::F32, PrecisionChoice::Bf16] {
        let model = open(path.to_str().unwrap(), &gpu(precision, 4096));
        // batches that hold little more than one record
        let small = open(path.to_str().unwrap(), &gpu(precision, 1));
        for task in [RECONSTRUCTION, MASKED, PAPER] {
            let mut examples = examples(&model, task, 400);
            let (engine, other) = (Engine::new(&model).unwrap(), Engine::new(&small).unwrap());
            let sum = curvature_of(&engine, &[&examples]);
            let curvature = damped(&sum);
            let whole = scores(&engine, &curvature, Estimator::Debiased, &[&examples]);
            let (first, rest) = examples.split_at(3);
            assert_eq!(sum, curvature_of(&engine, &[rest, first]), "{precision:?}");
            assert_eq!(whole, scores(&engine, &curvature, Estimator::Debiased, &[first, rest]));
            examples.reverse();
            let mut reversed = scores(&other, &curvature, Estimator::Debiased, &[&examples]);
            reversed.reverse();
            assert_eq!(whole, reversed, "{precision:?} {:?}", task.objective);
            // many together: the rows are elsewhere in the products' tiles, and the tiles elsewhere on the card
            let many: Vec<Example> = examples.iter().cycle().take(500).cloned().collect();
            let repeated = scores(&engine, &curvature, Estimator::Debiased, &[&many]);
            for (index, score) in repeated.iter().enumerate() {
                assert_eq!(*score, whole[9 - index % 10], "{precision:?} {:?} {index}", task.objective);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_hidden_states_are_those_of_the_cpu() {
    let path = fixture("esm2/esm2_tiny.pt");
    let [cpu, on_gpu] = [Placement::Cpu, gpu(PrecisionChoice::F32, 4096)]
        .map(|placement| open(path.to_str().unwrap(), &placement));
    let mut packed = PackedTokens::default();
    examples(&cpu, MASKED, 200).iter().flat_map(|example| &example.views).for_each(|view| packed.push(view));
    let [expected, found] = [&cpu, &on_gpu].map(|model| {
        let mut workspace = Workspace::default();
        model.encoder.encode(&packed, &mut workspace).unwrap();
        workspace.hidden
    });
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let error = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
    assert!(expected.len() == found.len() && error < 1e-4, "{error:e}");
}
