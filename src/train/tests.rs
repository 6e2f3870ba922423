//! Training as a whole: it learns, and it is a function of its inputs and its seed.

use super::*;
use crate::model::{Architecture, Dimensions, family, rna_fm::architecture};
use crate::tokenizer::rna_fm;
use candle_core::{DType, Device};

fn config() -> Architecture {
    architecture(Dimensions {
        num_hidden_layers: 1,
        hidden_size: 16,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_positions: 64,
    })
}

fn options(steps: u64) -> TrainOptions {
    TrainOptions {
        seed: 7,
        length: Length::Steps(steps),
        hairpin_steps: 0,
        crop: None,
        micro_batches: 3,
        batch_tokens: 256,
        peak_lr: 1e-2,
        warmup: 10,
        weight_decay: 0.01,
        clip: 1.0,
        balance: None,
        report_every: 10,
        measure_every: 10,
        checkpoint_every: None,
    }
}

/// Beginnings of a repeated pattern: residue frequencies tell nothing, the position tells all.
fn records(pattern: &str, count: u64) -> Vec<EncodedRecord> {
    let sequence = pattern.repeat(12);
    let record = |i: u64| {
        let length = 20 + (i % 13) as usize;
        let tokens = rna_fm().encode(&sequence.as_bytes()[..length], 64).unwrap().ids;
        EncodedRecord { hash: i * 0x9e37, tokens, group: (i % 10) as u32 }
    };
    (0..count).map(record).collect()
}

fn bits(model: &TrainedModel) -> Vec<u8> {
    model.to_safetensors(Precision::F32).unwrap()
}

fn on_threads(threads: usize) -> TrainingDevice {
    TrainingDevice::Cpu { threads }
}

fn fit_on(device: &TrainingDevice, options: TrainOptions, records: &[EncodedRecord]) -> TrainedModel {
    let start = TrainedModel::random(&config(), 1).unwrap();
    Trainer::new(options, &rna_fm(), records, &[]).unwrap().fit(start, device, &mut ()).unwrap()
}

fn fit(options: TrainOptions, records: &[EncodedRecord]) -> TrainedModel {
    fit_on(&on_threads(1), options, records)
}

#[test]
fn weights_depend_on_the_seed_and_not_on_the_threads() {
    let records = records("ACGU", 60);
    let one = bits(&fit(options(4), &records));
    for threads in [2, 5] {
        assert!(bits(&fit_on(&on_threads(threads), options(4), &records)) == one, "{threads} threads");
    }
    assert!(bits(&fit(TrainOptions { seed: 8, ..options(4) }, &records)) != one);
}

/// Whole steps at once, as on a GPU, here in f64 and in padded batches, and an optimizer over all weights end to end.
#[test]
fn batched_steps_come_to_the_weights_and_losses_of_micro_batches() {
    let (training, held_out) = (records("ACGU", 60), records("AACG", 25));
    let (device, dtype) = (Device::Cpu, DType::F64);
    let batched = TrainingDevice::Batched { device, dtype, kept: Kept::default() };
    // the clip is low enough for some of the steps, and the cropped windows are of several lengths
    let options = TrainOptions { clip: 0.3, crop: Some(24), weight_decay: 0.5, ..options(12) };
    let (one, other) = (fit(options.clone(), &training), fit_on(&batched, options, &training));
    for (name, tensor) in &one.tensors {
        let difference = (tensor - &other.tensors[name]).unwrap().abs().unwrap().flatten_all().unwrap();
        let difference = difference.max(0).unwrap().to_scalar::<f32>().unwrap();
        // the key's bias has no influence on a loss, and its gradient is rounding alone, which Adam makes as large as any
        assert!(difference < 1e-3 || name.ends_with("k_proj.bias"), "{name} {difference}");
    }
    let losses = |device| record_losses(&one, &rna_fm(), &held_out, device).unwrap();
    for (one, other) in losses(&on_threads(2)).iter().zip(losses(&batched)) {
        assert_eq!((one.group, one.residues), (other.group, other.residues));
        assert!((one.loss - other.loss).abs() < 1e-4 * one.loss, "{one:?} {other:?}");
    }
}

#[derive(Default)]
struct Log(Vec<Progress>, usize);

impl Observer for Log {
    fn progress(&mut self, progress: &Progress) {
        self.0.push(*progress);
    }

    fn checkpoint(&mut self, _: &TrainedModel) -> Result<()> {
        self.1 += 1;
        Ok(())
    }
}

#[test]
fn a_pattern_is_learned_far_below_its_unigram_loss_and_adapting_goes_on() {
    let (training, held_out) = (records("ACGU", 80), records("ACGU", 17));
    let mut log = Log::default();
    let options = TrainOptions { checkpoint_every: Some(60), ..options(120) };
    let trainer = Trainer::new(options, &rna_fm(), &training, &held_out).unwrap();
    let model = trainer.fit(TrainedModel::random(&config(), 1).unwrap(), &on_threads(1), &mut log).unwrap();
    let last = log.0.last().unwrap();
    let loss = last.held_out.unwrap();
    assert!(loss.by_residue < 0.5 * 4f64.ln(), "{last}");
    assert_eq!((log.0.len(), last.step, log.1), (12, 120, 1));
    assert_eq!(evaluate(&model, &rna_fm(), &held_out, &on_threads(2)).unwrap(), loss);

    let other = records("AACGGU", 200);
    let before = evaluate(&model, &rna_fm(), &other, &on_threads(1)).unwrap();
    let adapted = adapt(model, &rna_fm(), &other, 0, &on_threads(1), &mut ()).unwrap();
    let after = evaluate(&adapted, &rna_fm(), &other, &on_threads(1)).unwrap();
    assert!(after.by_residue < before.by_residue, "{before:?} {after:?}");
}

#[test]
fn a_written_model_scores_in_the_engine_and_trains_on() {
    let mut model = fit(options(3), &records("ACGU", 40));
    model.notes.insert("description".into(), "a test".into());
    for precision in [Precision::F32, Precision::F16] {
        let file = model.to_safetensors(precision).unwrap();
        let weights = || crate::model::Weights::held("test", file.clone()).unwrap();
        assert_eq!(weights().text("description"), Some("a test"));
        let (read, _) = TrainedModel::from_weights(weights()).unwrap();
        assert_eq!(read.architecture, model.architecture);
        for (name, tensor) in &model.tensors {
            let difference = ((tensor - &read.tensors[name]).unwrap().abs().unwrap().flatten_all().unwrap())
                .max(0)
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(
                difference <= if precision == Precision::F32 { 0.0 } else { 1e-3 },
                "{name} {difference}"
            );
        }
        let engine =
            family::load("test", crate::model::ModelStatus::File, weights(), &crate::model::Placement::Cpu)
                .unwrap();
        assert_eq!(engine.info.max_tokens, 64);
    }
}

#[test]
fn the_mask_row_stays_zero() {
    let model = fit(options(5), &records("ACGU", 40));
    let tokens: Vec<Vec<f32>> = model.tensors["embed_tokens.weight"].to_vec2().unwrap();
    assert!(tokens[24].iter().all(|&weight| weight == 0.0));
    assert!(tokens[4].iter().all(|&weight| weight != 0.0));
}

#[test]
fn records_without_definite_residues_are_refused() {
    let records = records("NNNN", 4);
    let error = Trainer::new(options(1), &rna_fm(), &records, &[]).err().unwrap();
    assert_eq!(error.code, crate::error::Code::BadInput);
}

#[test]
fn an_observer_ends_a_training() {
    struct Cancel;
    impl Observer for Cancel {
        fn check(&self) -> Result<()> {
            Err(Error::canceled())
        }
    }
    let records = records("ACGU", 10);
    let trainer = Trainer::new(options(1000), &rna_fm(), &records, &[]).unwrap();
    let error =
        trainer.fit(TrainedModel::random(&config(), 1).unwrap(), &on_threads(1), &mut Cancel).err().unwrap();
    assert_eq!(error.code, crate::error::Code::Canceled);
}
