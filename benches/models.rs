//! Published sizes of every family with random weights: load time, tokens per second, peak memory.
//!
//! `cargo bench --bench models [-- NAME...]`, for example `-- esm2-650m`; without names all of them. `--cpu bf16` takes that
//! precision; `--gpu f32` and `--gpu bf16` (with `--features cuda`) run them on the first GPU, in batches of BIOPRUNE_BENCH_TOKENS tokens (32,768), and
//! measure its own rate of multiplying first. Each runs in a process of its own, so that the peak is its own; prints
//! figures, never asserts them. `--write FOLDER` writes a model of RNA-FM's size and records for it instead, for
//! `benches/peers/`.

#[path = "support/random_model.rs"]
mod random_model;

use bioprune::batching::Example;
use bioprune::influence::{Curvature, CurvatureForm, Damping, Engine, Estimator, Objective, Task};
use bioprune::model::{
    Architecture, DeviceChoice, Dimensions, Placement, PrecisionChoice, esm2, esmc, load, rna_fm,
};
use bioprune::pipeline::CancelToken;
use bioprune::process;
use bioprune::random::SplitMix;
use bioprune::storage::Storage;
use candle_core::{DType, Device, Tensor};
use random_model::write;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Fewest and most residues of the records that are scored, any between alike: sets of RNA have about 190 on average.
const LENGTHS: [usize; 2] = [60, 315];
/// Threads beside a GPU.
const GPU_WORKERS: usize = 3;
/// Floating-point operations for each thread: enough for a steady rate, little enough to wait for.
const BUDGET_FLOPS: f64 = 4e11;

fn sizes() -> Vec<(&'static str, Architecture)> {
    let of = |layers, hidden, heads, ffn, max| Dimensions {
        num_hidden_layers: layers,
        hidden_size: hidden,
        num_attention_heads: heads,
        intermediate_size: ffn,
        max_positions: max,
    };
    vec![
        ("rna-fm", rna_fm::architecture(of(12, 640, 20, 5120, 1024))),
        ("esm2-8m", esm2::architecture(of(6, 320, 20, 1280, 1024))),
        ("esm2-35m", esm2::architecture(of(12, 480, 20, 1920, 1024))),
        ("esm2-150m", esm2::architecture(of(30, 640, 20, 2560, 1024))),
        ("esm2-650m", esm2::architecture(of(33, 1280, 20, 5120, 1024))),
        ("esmc-300m", esmc::architecture(of(30, 960, 15, 2560, 2048))),
        ("esmc-600m", esmc::architecture(of(36, 1152, 18, 3072, 2048))),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [option, folder] = &arguments[..]
        && option == "--write"
    {
        return write_contest(Path::new(folder)).expect("the folder is writable");
    }
    let option = arguments.iter().position(|argument| argument == "--gpu" || argument == "--cpu");
    let precision =
        option.map_or(PrecisionChoice::F32, |at| match arguments.get(at + 1).map(String::as_str) {
            Some("f32") => PrecisionChoice::F32,
            Some("bf16") => PrecisionChoice::Bf16,
            other => panic!("{} is followed by f32 or bf16, not {other:?}", arguments[at]),
        });
    let on_gpu = option.is_some_and(|at| arguments[at] == "--gpu");
    let is_name = |i: usize| option.is_none_or(|at| i != at && i != at + 1);
    let mut names: Vec<&str> =
        arguments.iter().enumerate().filter(|(i, _)| is_name(*i)).map(|(_, name)| &name[..]).collect();
    // set for the process of a single model
    if let (Ok(alone), Some(name)) = (std::env::var("BIOPRUNE_BENCH_ALONE"), names.first()) {
        let sizes = sizes();
        let found = sizes.iter().find(|(known, _)| known == name).expect("one of the names that are listed");
        let tokens: usize =
            std::env::var("BIOPRUNE_BENCH_TOKENS").map_or(32_768, |n| n.parse().expect("a number"));
        let device = if on_gpu { DeviceChoice::Cuda(0) } else { DeviceChoice::Cpu };
        let (placement, _) = Placement::settle(device, precision, tokens / 8).expect("it computes that");
        measure(name, &found.1, &placement, alone.parse().expect("a rate"));
        return;
    }
    if names.is_empty() {
        names = sizes().iter().map(|(name, _)| *name).collect();
    }
    let rate = match (on_gpu, precision) {
        (false, _) => 0.0,
        (true, PrecisionChoice::F32) => multiplication_rate(DType::F32),
        (true, _) => multiplication_rate(DType::BF16),
    };
    if rate > 0.0 {
        println!("a product of 8192 x 8192 matrices: {:.1} TFLOP/s", rate / 1e12);
    }
    println!(
        "{:<10} {:>9} {:>8} {:>12} {:>12} {:>10}",
        "model", "weights", "load s", "tokens/s", "peak MiB", "of rate"
    );
    for name in names {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut command = std::process::Command::new(program);
        command.arg(name).env("BIOPRUNE_BENCH_ALONE", rate.to_string());
        if let Some(at) = option {
            command.args(&arguments[at..at + 2]);
        }
        command.status().expect("it runs once more");
    }
}

/// What the first GPU multiplies, in floating-point operations a second.
fn multiplication_rate(dtype: DType) -> f64 {
    const SIZE: usize = 8192;
    let device = Device::new_cuda(0).expect("a GPU answers, and the program is built with --features cuda");
    let matrix = Tensor::rand(-1f32, 1f32, (SIZE, SIZE), &device).and_then(|matrix| matrix.to_dtype(dtype));
    let matrix = matrix.expect("room for a matrix");
    let time = |products: usize| {
        let start = Instant::now();
        for _ in 0..products {
            matrix.matmul(&matrix).expect("a product");
        }
        device.synchronize().expect("the device ends its work");
        start.elapsed().as_secs_f64()
    };
    time(3);
    20.0 * 2.0 * (SIZE as f64).powi(3) / time(20)
}

/// `rate` is the device's own, 0 where it was not measured.
fn measure(name: &str, architecture: &Architecture, placement: &Placement, device_rate: f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write(architecture, &path).expect("the model is written");

    let start = Instant::now();
    let storage = Storage::from_env().expect("a storage");
    let model = load(path.to_str().expect("a path in UTF-8"), &storage, placement).expect("a model");
    let loading = start.elapsed().as_secs_f64();

    let mut random = SplitMix::new(1);
    let letters = b"ACGU";
    let task = Task { objective: Objective::Reconstruction, mask_passes: 7, seed: 0 };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if placement.is_gpu() { GPU_WORKERS } else { cores };
    let (budget, most) = if device_rate > 0.0 {
        (2.0 * device_rate, 50_000.0)
    } else {
        (BUDGET_FLOPS * cores as f64, 200.0 * cores as f64)
    };
    let mean = LENGTHS.iter().sum::<usize>() as f64 / 2.0;
    let records = (budget / (2.0 * architecture.parameters() as f64) / mean).clamp(4.0, most) as usize;

    let examples: Vec<Example> = (0..records)
        .map(|_| {
            let residues = LENGTHS[0] + random.below(LENGTHS[1] - LENGTHS[0] + 1);
            let sequence: Vec<u8> = (0..residues).map(|_| letters[random.below(letters.len())]).collect();
            let tokens = model.tokenizer.encode(&sequence, 1024).expect("letters of both alphabets").ids;
            task.example(tokens, &model.tokenizer)
        })
        .collect();
    // as many tokens together as a job takes, or less so that no thread is without
    let total: usize = examples.iter().map(Example::tokens).sum();
    let batch_tokens = model.encoder.batch_tokens().unwrap_or((total / (2 * threads)).clamp(1, 4096));
    let mut batches: Vec<&[Example]> = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, example) in examples.iter().enumerate() {
        tokens += example.tokens();
        if tokens >= batch_tokens || index + 1 == examples.len() {
            batches.push(&examples[start..=index]);
            (start, tokens) = (index + 1, 0);
        }
    }
    let engine = Engine::new(&model).expect("the head is loaded");
    let cancel = CancelToken::default;
    let mut accumulator = engine.accumulator(cancel()).expect("an accumulator");
    // also brings the device to its speed
    accumulator.run(batches[0], |_, _| ()).expect("finite gradients");
    let curvature = Curvature::new(&accumulator.sum, CurvatureForm::Diagonal, Damping::Relative(0.1));
    let curvature = curvature.expect("a curvature");
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut scorer = engine.scorer(&curvature, Estimator::Debiased, cancel()).expect("a scorer");
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    scorer.run(batch, |_, score| assert!(score.influence.is_finite())).expect("scores");
                }
            });
        }
    });
    let rate = total as f64 / start.elapsed().as_secs_f64();
    let share = match device_rate {
        0.0 => "-".to_string(),
        of => format!("{:.1}%", 100.0 * rate * 2.0 * architecture.parameters() as f64 / of),
    };
    println!(
        "{name:<10} {:>9} {loading:>8.1} {rate:>12.0} {:>12} {share:>10}",
        architecture.parameters(),
        process::peak().expect("Linux keeps the peak") >> 20
    );
}

/// RNA-FM with random weights, and records of 60 to 315 residues, 190 on average, as in sets of RNA.
fn write_contest(folder: &Path) -> std::io::Result<()> {
    const RECORDS: usize = 48;
    write(&sizes()[0].1, &folder.join("model.safetensors"))?;
    let mut file = std::fs::File::create(folder.join("records.fa"))?;
    let mut random = SplitMix::new(2);
    for record in 0..RECORDS {
        let residues = 60 + random.below(256);
        let sequence: String = (0..residues).map(|_| ['A', 'C', 'G', 'U'][random.below(4)]).collect();
        writeln!(file, ">r{record}\n{sequence}")?;
    }
    Ok(())
}
