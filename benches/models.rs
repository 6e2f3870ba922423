//! Published sizes of every family with random weights: load time, tokens per second, peak memory.
//!
//! `cargo bench --bench models [-- NAME...]`, for example `-- esm2-650m`; without names all of them. `--gpu f32` and
//! `--gpu bf16` (with `--features cuda`) run them on the first GPU, and measure its own rate of multiplying first. Each
//! runs in a process of its own, so that the peak is its own; prints figures, never asserts them. `--write FOLDER` writes a
//! model of RNA-FM's size and records for it instead, for `benches/peers/`.

use bioprune::batching::Example;
use bioprune::influence::{CurvatureSum, Gradients, Objective, Task, accumulate};
use bioprune::model::{Architecture, Dimensions, Placement, esm2, esmc, load, rna_fm};
use bioprune::process;
use bioprune::random::SplitMix;
use bioprune::storage::Storage;
use candle_core::{DType, Device, Tensor};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Residues of the records that are scored: what RNAcentral and UniRef hold on average lies around it.
const LENGTH: usize = 200;
/// Mean tokens that are scored for each 100 M weights less: enough for a steady rate, little enough to wait for.
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
    let gpu = arguments.iter().position(|argument| argument == "--gpu");
    let precision = gpu.map(|at| arguments.get(at + 1).expect("--gpu is followed by f32 or bf16").clone());
    let is_name = |i: usize| gpu.is_none_or(|at| i != at && i != at + 1);
    let mut names: Vec<&str> =
        arguments.iter().enumerate().filter(|(i, _)| is_name(*i)).map(|(_, name)| &name[..]).collect();
    let placement = match precision.as_deref() {
        None => Placement::Cpu,
        Some(precision) => Placement::Candle {
            device: Device::new_cuda(0)
                .expect("a GPU answers, and the program is built with --features cuda"),
            dtype: if precision == "bf16" { DType::BF16 } else { DType::F32 },
        },
    };
    // set for the process of a single model
    if let (Ok(alone), Some(name)) = (std::env::var("BIOPRUNE_BENCH_ALONE"), names.first()) {
        let sizes = sizes();
        let found = sizes.iter().find(|(known, _)| known == name).expect("one of the names that are listed");
        measure(name, &found.1, &placement, alone.parse().expect("a rate"));
        return;
    }
    if names.is_empty() {
        names = sizes().iter().map(|(name, _)| *name).collect();
    }
    let rate = match &placement {
        Placement::Cpu => 0.0,
        Placement::Candle { device, dtype } => multiplication_rate(device, *dtype),
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
        precision.iter().for_each(|precision| {
            command.args(["--gpu", precision]);
        });
        command.status().expect("it runs once more");
    }
}

/// What the device multiplies, in floating-point operations a second.
fn multiplication_rate(device: &Device, dtype: DType) -> f64 {
    const SIZE: usize = 8192;
    let matrix = Tensor::rand(-1f32, 1f32, (SIZE, SIZE), device).and_then(|matrix| matrix.to_dtype(dtype));
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
    let budget = if device_rate > 0.0 { 5.0 * device_rate } else { BUDGET_FLOPS };
    let most = if device_rate > 0.0 { 20_000.0 } else { 200.0 };
    let records =
        (budget / (2.0 * architecture.parameters() as f64) / LENGTH as f64).clamp(4.0, most) as usize;
    let examples: Vec<Example> = (0..records)
        .map(|_| {
            let sequence: Vec<u8> = (0..LENGTH).map(|_| letters[random.below(letters.len())]).collect();
            let tokens = model.tokenizer.encode(&sequence, 1024).expect("letters of both alphabets").ids;
            task.example(tokens, &model.tokenizer)
        })
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in examples.chunks(examples.len().div_ceil(threads)) {
            let model = &model;
            scope.spawn(move || {
                let (mut gradients, mut sum) =
                    (Gradients::new(model), CurvatureSum::new(model.head.hidden_size));
                // as many tokens together as a job takes
                for batch in part.chunks(20) {
                    accumulate(&mut gradients, batch, &mut sum).expect("finite gradients");
                }
            });
        }
    });
    let rate = (records * (LENGTH + 2)) as f64 / start.elapsed().as_secs_f64();
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

/// Random weights of a scale at which no activation runs away, written as they are drawn.
fn write(architecture: &Architecture, path: &Path) -> std::io::Result<()> {
    let shapes = architecture.tensor_shapes();
    let mut config = serde_json::to_value(&architecture.dimensions)?;
    config["token_dropout"] = architecture.token_dropout.into();
    let mut header = serde_json::Map::new();
    let metadata = serde_json::json!({"architecture": architecture.family, "config": config.to_string()});
    header.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for (name, shape) in &shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut random = SplitMix::new(0);
    for (name, shape) in &shapes {
        let norm = name.contains("norm") && name.ends_with("weight");
        let scale = (shape[shape.len() - 1] as f32).powf(-0.5);
        for _ in 0..shape.iter().product() {
            let unit = (random.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0;
            file.write_all(&if norm { 1.0 } else { scale * unit }.to_le_bytes())?;
        }
    }
    file.flush()
}
