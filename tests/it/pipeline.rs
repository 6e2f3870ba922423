//! The jobs end to end on real files: parts are the whole, reruns give the same bytes, bad input is named.

use crate::reference::fixture;
use crate::support::told::Told;
use bioprune::error::{Code, Result};
use bioprune::pipeline::{
    self, CancelToken, CommitOptions, Context, MergeRequest, PruneRequest, ScoreRequest, SelectRequest,
};
use bioprune::storage::Storage;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn context() -> Context {
    let commit_every = CommitOptions::default().interval();
    Context::new(&Storage::from_env().unwrap(), Arc::new(()), CancelToken::default(), commit_every)
}

/// RNA of many lengths and two families, some of it twice.
pub(crate) fn records(count: usize) -> String {
    let mut fasta = String::new();
    let mut state = 7u64;
    for index in 0..count {
        let length = 5 + (index * 29) % 90;
        fasta.push_str(&format!(">r{index} family={}\n", index % 2));
        for _ in 0..length {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            fasta.push(['A', 'C', 'G', 'U'][(state >> 33) as usize % (2 + 2 * (index % 2))]);
        }
        fasta.push('\n');
    }
    fasta
}

pub(crate) fn folder_with(name: &str, content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

pub(crate) fn request<R: serde::de::DeserializeOwned>(base: Value, more: Value) -> R {
    let mut fields = base;
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

pub(crate) fn tiny() -> Value {
    json!({"model": fixture("rna_fm/RNA-FM_tiny.pth"), "sample": "20", "threads": 2, "max_batch_tokens": 300})
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

fn score(inputs: &Path, output: &Path, more: Value) -> Result<pipeline::ScoreSummary> {
    let base = request::<Value>(tiny(), json!({"inputs": [inputs], "output": output}));
    pipeline::score(&request::<ScoreRequest>(base, more), &context())
}

fn prune(inputs: &Path, output: &Path, more: Value) -> Result<pipeline::PruneSummary> {
    let base = request::<Value>(tiny(), json!({"inputs": [inputs], "output": output, "keep": "25%"}));
    pipeline::prune(&request::<PruneRequest>(base, more), &context())
}

#[test]
fn merged_shards_are_the_bytes_of_one_run_whatever_the_threads_and_batches() {
    let (folder, input) = folder_with("rna.fa", &records(60));
    let at = |name: &str| folder.path().join(name);
    let base = request::<Value>(tiny(), json!({"inputs": [input]}));
    let curvature = |output: &Path, more: Value| {
        let base = request::<Value>(base.clone(), json!({"output": output}));
        pipeline::curvature(&request(base, more), &context()).unwrap()
    };
    let merge = |files: Vec<PathBuf>, output: &Path| {
        let files = files.iter().map(|file| text(file)).collect();
        pipeline::merge(&MergeRequest { files, output: text(output) }, &context()).unwrap()
    };

    curvature(&at("whole.safetensors"), json!({}));
    let parts: Vec<PathBuf> = (1..=4).map(|index| at(&format!("part{index}.safetensors"))).collect();
    for (index, part) in (1..).zip(&parts) {
        curvature(
            part,
            json!({"shard": format!("{index}/4"), "threads": index, "max_batch_tokens": 100 * index}),
        );
    }
    merge(parts, &at("merged.safetensors"));
    assert_eq!(fs::read(at("merged.safetensors")).unwrap(), fs::read(at("whole.safetensors")).unwrap());

    for extension in ["parquet", "tsv", "tsv.gz"] {
        let whole = at(&format!("whole.{extension}"));
        score(&input, &whole, json!({"curvature": at("whole.safetensors"), "threads": 1})).unwrap();
        let parts: Vec<PathBuf> = (1..=3).map(|index| at(&format!("part{index}.{extension}"))).collect();
        for (index, part) in (1..).zip(&parts) {
            let more = json!({"curvature": at("whole.safetensors"), "shard": format!("{index}/3"),
                "threads": index, "max_batch_tokens": 77 * index});
            score(&input, part, more).unwrap();
        }
        let merged = at(&format!("merged.{extension}"));
        merge(parts.into_iter().rev().collect(), &merged);
        assert_eq!(fs::read(merged).unwrap(), fs::read(whole).unwrap(), "{extension}");
    }
}

#[test]
fn gradients_kept_from_the_curvature_give_the_bits_of_new_ones() {
    let (folder, input) = folder_with("rna.fa", &records(150));
    let at = |name: &str| folder.path().join(name);
    for objective in [json!({}), json!({"objective": "paper-code", "estimator": "plain", "damping": "1e-8"})]
    {
        // none, some of them, and all
        let scored = [0, 1, 8192].map(|scratch| {
            let file = at(&format!("scratch{scratch}.tsv"));
            let with = json!({"sample": "all", "scratch_mib": scratch});
            score(&input, &file, request(objective.clone(), with)).unwrap();
            fs::read(file).unwrap()
        });
        let rows = scored[0].split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"0\t"));
        assert_eq!(rows.count(), 150);
        assert!(scored[1] == scored[0] && scored[2] == scored[0], "{objective}");
    }
}

#[test]
fn prune_is_score_and_select_and_its_coreset_repeats_the_input_in_order() {
    let fasta = records(60);
    let (folder, input) = folder_with("rna.fa", &fasta);
    let out = folder.path().join("out");
    let summary = prune(&input, &out, json!({})).unwrap();
    assert_eq!((summary.select.pool, summary.select.kept), (60, 15));
    let coreset = inflate(&out.join("coreset.fa.gz"));
    let blocks = |text: &str| {
        text.split_inclusive('\n').collect::<Vec<_>>().chunks(2).map(|pair| pair.concat()).collect::<Vec<_>>()
    };
    let mut all = blocks(&fasta).into_iter();
    let kept = blocks(&coreset);
    assert_eq!(kept.len(), 15);
    assert!(kept.iter().all(|record| all.any(|other| other == *record)), "a subsequence of the input");

    let manifest: Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    for output in manifest["outputs"].as_array().unwrap() {
        let bytes = fs::read(output["uri"].as_str().unwrap()).unwrap();
        assert_eq!(output["size"], bytes.len());
        assert_eq!(output["sha256"].as_str().unwrap(), sha256(&bytes));
    }
    assert_eq!(manifest["outputs"].as_array().unwrap().len(), 6);

    let again = folder.path().join("again");
    let select = json!({"scores": [out.join("scores.parquet")], "output": again, "keep": "25%"});
    pipeline::select(&request::<SelectRequest>(select, json!({})), &context()).unwrap();
    for name in ["coreset.fa.gz", "selected.tsv"] {
        assert_eq!(fs::read(again.join(name)).unwrap(), fs::read(out.join(name)).unwrap(), "{name}");
    }

    let control = folder.path().join("control");
    let matched = json!({"scores": [out.join("scores.parquet")], "output": control, "keep": "25%",
        "strategy": "random-matched", "match": again});
    let matched = pipeline::select(&request::<SelectRequest>(matched, json!({})), &context()).unwrap();
    let ratio = matched.kept_residues as f64 / summary.select.kept_residues as f64;
    assert!(matched.kept == 15 && (0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn a_shard_whose_records_nobody_has_counted_tells_how_far_it_is_in_its_bytes() {
    let (folder, input) = folder_with("rna.fa", &records(60));
    let curvature = folder.path().join("c.safetensors");
    let at = json!({"inputs": [input], "output": curvature, "sample": "all"});
    pipeline::curvature(&request(tiny(), at), &context()).unwrap();
    let told = Arc::new(Told::default());
    let listening = Context { progress: told.clone(), ..context() };
    let shard = json!({"inputs": [input], "output": folder.path().join("s.tsv"), "curvature": curvature,
        "shard": "2/2"});
    pipeline::score(&request::<ScoreRequest>(tiny(), shard), &listening).unwrap();
    let told = told.0.lock().unwrap();
    let shares: Vec<_> = told.iter().map(|progress| (progress.total_records, progress.input_share)).collect();
    assert!(shares.iter().all(|(total, _)| total.is_none()), "{shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
    assert!(shares.last().is_some_and(|(_, share)| *share > Some(0.9)), "{shares:?}");
}

#[test]
fn a_rerun_after_a_kill_gives_the_bytes_of_a_clean_run() {
    let (folder, input) = folder_with("rna.fa", &records(40));
    let clean = folder.path().join("clean");
    prune(&input, &clean, json!({})).unwrap();
    // What a kill may leave: a finished first step, no manifest, and a temporary file of the second step.
    let killed = folder.path().join("killed");
    fs::create_dir(&killed).unwrap();
    fs::copy(clean.join("curvature.safetensors"), killed.join("curvature.safetensors")).unwrap();
    fs::write(killed.join("scores.parquet"), b"PAR1 torn").unwrap();
    let summary = prune(&input, &killed, json!({})).unwrap();
    assert!(summary.curvature.is_none(), "the finished step is not repeated");
    for name in ["scores.parquet", "selected.tsv", "coreset.fa.gz", "curvature.safetensors"] {
        assert_eq!(fs::read(killed.join(name)).unwrap(), fs::read(clean.join(name)).unwrap(), "{name}");
    }
    // Another request over the same folder takes nothing over that does not belong to it.
    // between the scores and the removal of their parts
    fs::remove_file(killed.join("manifest.json")).unwrap();
    let parts = killed.join("_scores.parquet.parts");
    fs::create_dir(&parts).unwrap();
    fs::write(parts.join("from-start.parquet"), b"in the scores already").unwrap();
    let summary = prune(&input, &killed, json!({})).unwrap();
    assert_eq!(summary.score.reused, summary.score.counts.scored);
    assert!(!parts.exists(), "nothing is left over");
    let other = prune(&input, &killed, json!({"seed": 9})).unwrap();
    assert!(other.curvature.is_some() && other.score.tokens > 0);
}

#[test]
fn a_canceled_or_failed_run_leaves_nothing_that_looks_finished() {
    let (folder, input) = folder_with("rna.fa", &(records(30) + ">bad\nACGE\n"));
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("manifest.json"), "{}").unwrap();
    let error = prune(&input, &out, json!({"sample": "10"})).unwrap_err();
    assert_eq!(error.code, Code::BadInput);
    for part in ["rna.fa", "bad", "residue 4", "'E'", "allowed"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "curvature.safetensors"), "{left:?}");

    let canceled = context();
    canceled.cancel.cancel();
    let base = request::<Value>(tiny(), json!({"inputs": [input], "output": out, "keep": "25%"}));
    let error = pipeline::prune(&request::<PruneRequest>(base, json!({})), &canceled).unwrap_err();
    assert_eq!(error.code, Code::Canceled);

    let summary = prune(&input, &out, json!({"on_illegal": "skip"})).unwrap();
    assert_eq!(summary.score.counts.skipped["illegal"], 1);
    assert_eq!(summary.score.counts.scored, 30);
}

#[test]
fn bad_inputs_end_in_their_own_code_and_name_what_is_wrong() {
    let (folder, good) = folder_with("rna.fa", &records(10));
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let long = format!(">long\n{}\n>short\nACGUACGUACGU\n", "ACGU".repeat(400));
    let out = folder.path().join("s.tsv");
    let table = [
        (folder.path().join("nowhere.fa"), json!({}), Code::InputNotFound, "nowhere.fa"),
        (write("empty.fa", b""), json!({}), Code::BadInput, "empty.fa"),
        (write("prose.txt", b"hello there\n"), json!({}), Code::BadInput, "prose.txt"),
        (write("gap.fa", b">a\nACGU\n>b\n>c\nACGU\n"), json!({}), Code::BadInput, "b"),
        (write("long.fa", long.as_bytes()), json!({"on_long": "error"}), Code::BadInput, "1600 residues"),
        (good.clone(), json!({"model": "no-such-model"}), Code::ModelUnavailable, "rna-nano"),
        (
            good.clone(),
            json!({"model": fixture("rna_fm/cases.safetensors")}),
            Code::ModelUnavailable,
            "known families",
        ),
    ];
    for (input, more, code, part) in table {
        let error = score(&input, &out, more).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!out.exists());
    }
    let summary = score(&folder.path().join("long.fa"), &out, json!({})).unwrap();
    assert_eq!((summary.counts.truncated, summary.counts.scored), (1, 2));
}

#[test]
fn adapting_changes_the_scores_repeats_itself_and_is_the_same_in_every_shard() {
    let (folder, input) = folder_with("rna.fa", &records(24));
    let at = |name: &str| folder.path().join(name);
    let scored = |name: &str, more: Value| {
        let base = json!({"adapt": true, "sample": "8", "mask_passes": 1});
        score(&input, &at(name), request::<Value>(base, more)).unwrap();
        at(name)
    };
    let whole = scored("whole.tsv", json!({"threads": 1}));
    let again = scored("again.tsv", json!({"threads": 3}));
    assert_eq!(fs::read(&whole).unwrap(), fs::read(again).unwrap());
    let plain = scored("plain.tsv", json!({"adapt": false}));
    assert!(rows(&plain).zip(rows(&whole)).all(|(plain, adapted)| plain != adapted));

    let parts = ["1/2", "2/2"]
        .map(|shard| text(&scored(&format!("part{}.tsv", &shard[..1]), json!({"shard": shard}))));
    let merged = at("merged.tsv");
    pipeline::merge(&MergeRequest { files: parts.into(), output: text(&merged) }, &context()).unwrap();
    assert_eq!(fs::read(merged).unwrap(), fs::read(&whole).unwrap());

    let out = at("out");
    prune(&input, &out, json!({"adapt": true, "sample": "8", "mask_passes": 1})).unwrap();
    let manifest: Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let metadata = fs::read_to_string(&whole).unwrap().lines().next().unwrap().to_string();
    assert!(metadata.contains(manifest["model"]["digest"].as_str().unwrap()), "{metadata}");
}

#[test]
fn models_of_other_families_are_adapted_too() {
    let (folder, rna) = folder_with("rna.fa", &records(8));
    let at = |name: &str| folder.path().join(name);
    let protein = at("protein.fa");
    fs::write(&protein, PROTEINS.repeat(3)).unwrap();
    for (model, input) in [
        ("rna_fm_multimolecule", &rna),
        ("esm2_hf", &protein),
        ("bert", &protein),
        ("esmc/esmc_tiny.pth", &protein),
    ] {
        for (name, adapt) in [("plain.tsv", false), ("adapted.tsv", true)] {
            let more = json!({"model": fixture(model), "adapt": adapt, "sample": "4", "mask_passes": 1});
            score(input, &at(name), more).unwrap();
        }
        let mut pairs = rows(&at("plain.tsv")).zip(rows(&at("adapted.tsv")));
        assert!(pairs.all(|(plain, adapted)| plain != adapted), "{model}");
    }
}

/// The lines of scores, without the metadata.
fn rows(scores: &Path) -> std::vec::IntoIter<String> {
    let text = fs::read_to_string(scores).unwrap();
    let rows: Vec<String> =
        text.lines().filter(|line| !line.starts_with('#')).skip(1).map(str::to_string).collect();
    assert!(!rows.is_empty());
    rows.into_iter()
}

/// Proteins of the common residues.
const PROTEINS: &str = ">p1\nMKVLAAGIVGLLLAQWERTYIPSDFGHKLCVNM\n>p2\nMSTNPKPQRKTKRNTNRRPQDVKFPGGGQIVGGV\n";

#[test]
fn auto_takes_the_bundled_model_of_the_first_records_in_every_shard_and_refuses_a_mix() {
    let (folder, rna) = folder_with("rna.fa", &records(30));
    let protein = folder.path().join("protein.fa");
    fs::write(&protein, PROTEINS.repeat(5)).unwrap();
    let chosen = |inputs: &[&Path], more: Value| {
        let output = folder.path().join("s.tsv");
        let base = json!({"inputs": inputs, "output": output, "sample": "all", "mask_passes": 1});
        pipeline::score(&request::<ScoreRequest>(base, more), &context()).map(|summary| summary.model)
    };
    assert_eq!(chosen(&[&rna], json!({})).unwrap(), "rna-nano");
    for shard in ["1/2", "2/2"] {
        assert_eq!(chosen(&[&protein], json!({"shard": shard})).unwrap(), "protein-nano");
    }
    let mix = chosen(&[&rna, &protein], json!({})).unwrap_err();
    assert_eq!(mix.code, Code::BadInput, "{mix}");
    assert!(mix.message.contains("protein.fa") && mix.message.contains("--model"), "{mix}");
    assert!(
        chosen(&[&rna, &protein], json!({"model": "protein-nano"})).is_ok(),
        "RNA's letters are residues too"
    );
}

fn inflate(path: &Path) -> String {
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    text
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
