//! Masked language models that others trained, on real antibody genes: what loads wrongly predicts badly.
//!
//! AntiBERTy (Ruffolo et al. 2021, MIT) and Sapiens (Prihoda et al. 2022, MIT) come out of their PyPI packages, the human
//! germline V genes out of the package olga, all unpacked below the folder that `BIOPRUNE_TEST_MODELS` names.

use bioprune::batching::{Example, PackedTokens};
use bioprune::model::{Model, Placement, Workspace, load};
use bioprune::storage::Storage;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    std::env::var_os("BIOPRUNE_TEST_MODELS").expect("BIOPRUNE_TEST_MODELS names the unpacked packages").into()
}

fn open(path: &Path) -> Model {
    load(path.to_str().unwrap(), &Storage::from_env().unwrap(), &Placement::Cpu).unwrap()
}

/// The germline V genes of a chain, translated; genes with a stop or a shifted frame are left out.
fn v_genes(chain: &str) -> Vec<String> {
    let path = folder().join(format!("olga/default_models/human_B_{chain}/model_params.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    let genes = text.lines().skip_while(|line| !line.starts_with("#GeneChoice;V_gene"));
    let genes = genes.skip(1).take_while(|line| line.starts_with('%'));
    let proteins = genes.filter_map(|line| translated(line.split(';').nth(1)?));
    proteins.filter(|protein| protein.len() > 90).collect()
}

/// The standard genetic code.
fn translated(gene: &str) -> Option<String> {
    const CODE: &[u8; 64] = b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG";
    let base = |byte: u8| b"TCAG".iter().position(|base| *base == byte);
    let codon = |codon: &[u8; 3]| {
        let residue = CODE[base(codon[0])? * 16 + base(codon[1])? * 4 + base(codon[2])?];
        (residue != b'*').then_some(residue as char)
    };
    gene.as_bytes().as_chunks().0.iter().map(codon).collect()
}

/// The share of residues that are predicted right when a seventh at a time is masked.
fn masked_accuracy(model: &Model, sequences: &[String]) -> f64 {
    let (d, vocabulary) = (model.head.hidden_size, model.head.vocabulary);
    let mut workspace = Workspace::default();
    let (mut right, mut all) = (0, 0);
    for sequence in sequences {
        let tokens = model.tokenizer.encode(sequence.as_bytes(), model.info.max_tokens as usize).unwrap().ids;
        let example = Example::masked(tokens, &model.tokenizer, 7, 0);
        for view in &example.views {
            let mut packed = PackedTokens::default();
            packed.push(view);
            model.encoder.encode(&packed, &mut workspace).unwrap();
            let n = view.input.len();
            let (mut u, mut y, mut z) = (vec![0.0; n * d], vec![0.0; n * d], vec![0.0; n * vocabulary]);
            model.head.forward(&workspace.hidden[..n * d], &mut u, &mut y, &mut z);
            for position in view.positions.iter().map(|position| *position as usize) {
                let logits = &z[position * vocabulary..][..vocabulary];
                let best = (0..vocabulary).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
                right += usize::from(best == example.targets[position] as usize);
                all += 1;
            }
        }
    }
    right as f64 / all as f64
}

#[test]
fn antiberty_predicts_masked_residues_of_human_heavy_chains() {
    let model = open(&folder().join("antiberty/trained_models/AntiBERTy_md_smooth/pytorch_model.bin"));
    assert_eq!((model.info.family.as_str(), model.info.layers, model.info.hidden_size), ("bert", 8, 512));
    let genes = v_genes("heavy");
    let accuracy = masked_accuracy(&model, &genes);
    println!("antiberty: {:.1} % of {} heavy V genes", 100.0 * accuracy, genes.len());
    assert!(accuracy > 0.85, "{accuracy}");
}

#[test]
fn sapiens_predicts_masked_residues_of_human_chains() {
    for (chain, file) in [("heavy", "vh"), ("kappa", "vl")] {
        let model = open(&folder().join(format!("sapiens/models/v1/checkpoint_{file}.pt")));
        assert_eq!(
            (model.info.family.as_str(), model.info.layers, model.info.hidden_size),
            ("roberta", 4, 128)
        );
        let genes = v_genes(chain);
        let accuracy = masked_accuracy(&model, &genes);
        println!("sapiens {chain}: {:.1} % of {} V genes", 100.0 * accuracy, genes.len());
        assert!(accuracy > 0.7, "{accuracy}");
    }
}
