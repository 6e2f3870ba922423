//! The engine alone: matrix products against the machine's rate, and records through a model.
//!
//! `cargo bench --bench engine [-- MODEL [MEAN_LENGTH]]`; one thread; prints rates, never asserts them.

use bioprune::batching::Example;
use bioprune::influence::{
    Curvature, CurvatureForm, CurvatureSum, Damping, Estimator, Gradients, Objective, Scorer, Task,
    accumulate,
};
use bioprune::model::kernels::{
    AttentionScratch, Bias, BiasGelu, PackedMatrix, Pair, Strided, attention, matmul, matmul_pairs, pair_unit,
};
use bioprune::model::{Placement, load};
use bioprune::storage::Storage;

/// Seconds that this thread has had a processor: other load on the machine does not count.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps schedstat");
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).expect("a number") * 1e-9
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let model = arguments.first().map_or("rna-nano", String::as_str);
    let mean: usize = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(141);
    products();
    records(model, mean);
}

/// Repeats `work` for half a second; seconds each.
fn time(mut work: impl FnMut()) -> f64 {
    // Reading the clock takes as long as a small product: it is read once in many runs.
    const RUNS_BETWEEN: u32 = 64;
    work();
    let start = processor_seconds();
    let mut runs = 0;
    while processor_seconds() - start < 0.5 {
        (0..RUNS_BETWEEN).for_each(|_| work());
        runs += RUNS_BETWEEN;
    }
    (processor_seconds() - start) / f64::from(runs)
}

fn products() {
    for (m, k, n) in
        [(96, 64, 192), (96, 64, 64), (96, 64, 256), (96, 256, 64), (96, 640, 5120), (96, 5120, 640)]
    {
        let a: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 * 0.01).collect();
        let b: Vec<f32> = (0..n * k).map(|i| (i % 13) as f32 * 0.01).collect();
        let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
        let (bias, mut out) = (vec![0.1; n], vec![0.0; m * n]);
        let flops = 2.0 * (m * k * n) as f64;
        let plain = time(|| matmul(m, Strided::rows(&a, k), &packed, &mut out, n, &Bias(&bias)));
        let gelu = time(|| matmul(m, Strided::rows(&a, k), &packed, &mut out, n, &BiasGelu(&bias)));
        println!("{m}x{k}x{n}: {:.1} GFLOP/s, with GELU {:.1}", flops / plain / 1e9, flops / gelu / 1e9);
        if let Some(unit) = pair_unit() {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            let rounding = time(|| Pair::of_rows(&a, k, k, &mut left));
            Pair::of_rows(&b, k, k, &mut right);
            let pairs = PackedMatrix::new(Pair::in_row(k), n, Strided::transposed(&right, Pair::in_row(k)));
            let product = time(|| matmul_pairs(m, &left, &pairs, &mut out, n, &Bias(&bias)));
            let rate = |seconds| flops / seconds / 1e9;
            println!(
                "  in bf16 by {unit:?}: {:.1} GFLOP/s, with the rounding of rows {:.1}",
                rate(product),
                rate(product + rounding)
            );
        }
    }
    for (tokens, d, heads) in [(50, 64, 4), (141, 64, 4), (600, 64, 4), (190, 640, 20)] {
        let qkv: Vec<f32> = (0..tokens * 3 * d).map(|i| (i % 19) as f32 * 0.01).collect();
        let (mut out, mut scratch) = (vec![0.0; tokens * d], AttentionScratch::default());
        let seconds = time(|| attention(&qkv, d, heads, 0.0, &mut out, &mut scratch));
        let flops = 4.0 * (tokens * tokens * d) as f64;
        println!("attention of {tokens} tokens, d {d}: {:.1} GFLOP/s", flops / seconds / 1e9);
    }
}

fn records(model: &str, mean: usize) {
    let model = match Storage::from_env().and_then(|storage| load(model, &storage, &Placement::Cpu)) {
        Ok(model) => model,
        Err(error) => return println!("{error}"),
    };
    let lengths: Vec<usize> = (0..64).map(|i| mean / 2 + (i * 37) % mean).collect();
    for task in [
        Task { objective: Objective::MaskedLm, mask_passes: 7, seed: 0 },
        Task { objective: Objective::Reconstruction, mask_passes: 1, seed: 0 },
    ] {
        for batch_tokens in [1024, 4096] {
            let mut batches: Vec<Vec<Example>> = vec![Vec::new()];
            let mut filled = 0;
            for length in &lengths {
                let sequence: Vec<u8> = (0..*length).map(|i| b"ACGU"[(i * i + length) % 4]).collect();
                let tokens =
                    model.tokenizer.encode(&sequence, model.info.max_tokens as usize).expect("RNA").ids;
                if filled + length > batch_tokens {
                    batches.push(Vec::new());
                    filled = 0;
                }
                filled += length;
                batches.last_mut().expect("one at least").push(task.example(tokens, &model.tokenizer));
            }
            let mut sum = CurvatureSum::new(model.head.hidden_size);
            let mut gradients = Gradients::new(&model);
            accumulate(&mut gradients, &batches[0], &mut sum).expect("finite");
            let curvature =
                Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).expect("not zero");
            let mut scorer = Scorer::new(&curvature, Estimator::Debiased);
            gradients.tokens = 0;
            let start = processor_seconds();
            while processor_seconds() - start < 2.0 {
                batches.iter().for_each(|batch| {
                    let scored = gradients.run(batch, |_, record| {
                        scorer.score(&record);
                    });
                    scored.expect("a model on the CPU");
                });
            }
            let rate = gradients.tokens as f64 / (processor_seconds() - start);
            println!(
                "{:?}, batches of {batch_tokens} tokens: {rate:.0} tokens/s on one thread",
                task.objective
            );
        }
    }
}
