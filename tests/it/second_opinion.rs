//! A second opinion: candle-transformers' own BERT, which shares no code with ours, on the same weights.

use crate::reference::{fixture, open};
use bioprune::batching::{Example, View};
use bioprune::influence::Gradients;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertForMaskedLM, Config};

#[test]
fn candle_transformers_bert_loses_as_much() {
    let device = Device::Cpu;
    let config: Config =
        serde_json::from_slice(&std::fs::read(fixture("bert/config.json")).unwrap()).unwrap();
    let mut weights = candle_core::safetensors::load(fixture("bert/model.safetensors"), &device).unwrap();
    // saved once, as they are tied to the embeddings
    for (missing, tied) in [
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ] {
        let shared = weights[tied].clone();
        weights.entry(missing.to_string()).or_insert(shared);
    }
    let theirs =
        BertForMaskedLM::load(VarBuilder::from_tensors(weights, DType::F32, &device), &config).unwrap();

    let ours = open("bert/");
    let sequences =
        ["MKTAYIAKQRQISFVKSHFSRQ", "ACDEFGHIKLMNPQRSTVWY", "GSHM", "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSF"];
    let examples: Vec<Example> = sequences
        .iter()
        .map(|sequence| {
            let tokens = ours.tokenizer.encode(sequence.as_bytes(), 512).unwrap().ids;
            let positions: Vec<u32> = (0..tokens.len() as u32).collect();
            Example { targets: tokens.clone(), views: vec![View { input: tokens, positions, pads: 0 }] }
        })
        .collect();
    let mut losses = Vec::new();
    Gradients::new(&ours).run(&examples, |_, record| losses.push(record.loss)).unwrap();

    for (example, ours) in examples.iter().zip(losses) {
        let n = example.targets.len();
        let ids = Tensor::from_slice(&example.targets, (1, n), &device).unwrap();
        let logits = theirs.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap();
        let logits = logits.squeeze(0).unwrap().to_dtype(DType::F64).unwrap();
        let targets = ids.squeeze(0).unwrap();
        let loss = candle_nn::loss::cross_entropy(&logits, &targets).unwrap().to_scalar::<f64>().unwrap();
        assert!((loss - ours).abs() < 1e-5 * loss, "{n} tokens: {ours} and {loss}");
    }
}
