//! Training on a GPU against training on the CPU.

use bioprune::model::{Architecture, DeviceChoice, Dimensions, esm2, rna_fm};
use bioprune::random::SplitMix;
use bioprune::tokenizer::{self, Tokenizer};
use bioprune::train::{
    EncodedRecord, Length, Precision, TrainOptions, TrainedModel, Trainer, TrainingDevice, record_losses,
};

fn models() -> [(Architecture, Tokenizer, &'static [u8]); 2] {
    let dimensions = Dimensions {
        num_hidden_layers: 3,
        hidden_size: 64,
        num_attention_heads: 4,
        intermediate_size: 256,
        max_positions: 1024,
    };
    [
        (rna_fm::architecture(dimensions.clone()), tokenizer::rna_fm(), b"ACGU"),
        (esm2::architecture(dimensions), tokenizer::esm2(), b"ACDEFGHIKLMNPQRSTVWY"),
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
    for (architecture, tokenizer, letters) in models() {
        let family = architecture.family;
        let (training, held_out) = (records(&tokenizer, letters, 300), records(&tokenizer, letters, 101));
        let fit = |device: &TrainingDevice, steps| {
            let start = TrainedModel::random(&architecture, 1).unwrap();
            let trainer = Trainer::new(options(steps), &tokenizer, &training, &held_out).unwrap();
            trainer.fit(start, device, &mut ()).unwrap()
        };
        let mean = |model: &TrainedModel, device: &TrainingDevice| {
            let losses = record_losses(model, &tokenizer, &held_out, device).unwrap();
            losses.iter().map(|record| record.loss / record.residues as f64).sum::<f64>() / 101.0
        };
        let (by_cpu, by_gpu) = (fit(&cpu, 100), fit(&gpu, 100));
        let untrained = mean(&TrainedModel::random(&architecture, 1).unwrap(), &cpu);
        let [one, other] = [&by_cpu, &by_gpu].map(|model| mean(model, &cpu));
        println!("{family}: {untrained:.4} untrained, {one:.6} by the CPU, {other:.6} by the GPU");
        assert!(one < 0.8 * untrained && (one - other).abs() < 0.01, "{family}");
        let there = mean(&by_cpu, &gpu);
        assert!((there - one).abs() < 1e-4, "{family}: {there} {one}");
        let bits = |model: &TrainedModel| model.to_safetensors(Precision::F32).unwrap();
        assert!(bits(&fit(&gpu, 100)) == bits(&by_gpu), "{family}: two trainings differ");
    }
}
