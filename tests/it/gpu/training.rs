//! Training on a GPU against training on the CPU.

use bioprune::model::{Architecture, DeviceChoice, Dimensions, esm2, rna_fm};
use bioprune::random::SplitMix;
use bioprune::tokenizer::{self, Tokenizer};
use bioprune::train::{
    EncodedRecord, Length, Precision, TrainOptions, TrainedModel, Trainer, TrainingDevice, record_losses,
};

/// Models with heads of 16, 24, 48 and 80 values, and the steps that they train.
fn models() -> [(Architecture, Tokenizer, &'static [u8], u64); 5] {
    let dimensions = |hidden_size, num_attention_heads| Dimensions {
        num_hidden_layers: 3,
        hidden_size,
        num_attention_heads,
        intermediate_size: 256,
        max_positions: 1024,
    };
    let rna =
        |dimensions, steps| (rna_fm::architecture(dimensions), tokenizer::rna_fm(), &b"ACGU"[..], steps);
    let protein = |dimensions, steps| {
        (esm2::architecture(dimensions), tokenizer::esm2(), &b"ACDEFGHIKLMNPQRSTVWY"[..], steps)
    };
    [
        rna(dimensions(64, 4), 100),
        protein(dimensions(64, 4), 100),
        rna(dimensions(96, 2), 20),
        protein(dimensions(72, 3), 20),
        protein(dimensions(160, 2), 20),
    ]
}

/// Each letter follows from the one two before it, most of the time: there is something to learn.
fn records(tokenizer: &Tokenizer, letters: &[u8], count: u64) -> Vec<EncodedRecord> {
    let mut random = SplitMix::new(count);
    let record = |hash: u64| {
        let mut sequence: Vec<usize> = vec![0, 1];
        for _ in 0..20 + random.below(480) {
            let next = sequence[sequence.len() - 2] + 1 + random.below(10) / 8;
            sequence.push(next % letters.len());
        }
        let sequence: Vec<u8> = sequence.into_iter().map(|letter| letters[letter]).collect();
        EncodedRecord {
            hash,
            tokens: tokenizer.encode(&sequence, 1024).unwrap().ids,
            group: hash as u32 % 10,
        }
    };
    (0..count).map(record).collect()
}

fn options(steps: u64) -> TrainOptions {
    TrainOptions {
        seed: 3,
        length: Length::Steps(steps),
        hairpin_steps: 0,
        crop: None,
        micro_batches: 4,
        batch_tokens: 1024,
        peak_lr: 2e-3,
        warmup: 5,
        weight_decay: 0.01,
        clip: 1.0,
        balance: None,
        report_every: 10,
        measure_every: 50,
        checkpoint_every: None,
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_trains_what_a_cpu_does_and_the_same_bits_each_time() {
    let cpu = TrainingDevice::Cpu { threads: 8 };
    let gpu = TrainingDevice::settle(DeviceChoice::Cuda(0), 1).unwrap().0;
    for (architecture, tokenizer, letters, steps) in models() {
        let heads = architecture.head_size();
        let family = format!("{} with heads of {heads}", architecture.family);
        let (training, held_out) = (records(&tokenizer, letters, 300), records(&tokenizer, letters, 101));
        let fit = |device: &TrainingDevice| {
            let start = TrainedModel::random(&architecture, 1).unwrap();
            let trainer = Trainer::new(options(steps), &tokenizer, &training, &held_out).unwrap();
            trainer.fit(start, device, &mut ()).unwrap()
        };
        let mean = |model: &TrainedModel, device: &TrainingDevice| {
            let losses = record_losses(model, &tokenizer, &held_out, device).unwrap();
            losses.iter().map(|record| record.loss / record.residues as f64).sum::<f64>() / 101.0
        };
        let (by_cpu, by_gpu) = (fit(&cpu), fit(&gpu));
        let untrained = mean(&TrainedModel::random(&architecture, 1).unwrap(), &cpu);
        let [one, other] = [&by_cpu, &by_gpu].map(|model| mean(model, &cpu));
        println!("{family}: {untrained:.4} untrained, {one:.6} by the CPU, {other:.6} by the GPU");
        assert!(one < 0.97 * untrained && (one - other).abs() < 0.01, "{family}");
        let there = mean(&by_cpu, &gpu);
        assert!((there - one).abs() < 1e-4, "{family}: {there} {one}");
        let bits = |model: &TrainedModel| model.to_safetensors(Precision::F32).unwrap();
        assert!(bits(&fit(&gpu)) == bits(&by_gpu), "{family}: two trainings differ");
    }
}
