//! The jobs from the command line, on a part of the shipped example.

use super::{run, stderr, stdout};
use crate::example;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RECORDS: usize = 120;

/// An input, and room for outputs.
struct Bench {
    folder: TempDir,
    input: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = text(&example::write_short(RECORDS, folder.path()));
        Bench { folder, input }
    }

    fn at(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

/// Runs a job that must end well; gives its summary.
fn done(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn pruning_keeps_a_tenth_and_leaves_the_evidence() {
    let bench = Bench::new();
    let out = bench.at("out");
    let summary = done(&["prune", &bench.input, "--keep", "10%", "-o", &out, "--sample", "40"]);
    assert_eq!(summary["score"]["counts"]["records"], RECORDS);
    assert_eq!(summary["select"]["kept"], RECORDS / 10);
    assert_eq!(summary["curvature"]["sampled"], 40);

    let manifest: Value = serde_json::from_slice(&bytes(&format!("{out}/manifest.json"))).unwrap();
    let mut listed: Vec<String> = Vec::new();
    for file in manifest["outputs"].as_array().unwrap() {
        let path = PathBuf::from(file["uri"].as_str().unwrap());
        let content = fs::read(&path).unwrap();
        let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(file["sha256"], digest.as_str(), "{}", path.display());
        assert_eq!(file["size"], content.len(), "{}", path.display());
        listed.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    listed.push("manifest.json".to_string());
    listed.sort();
    let mut found: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, listed);
    let expected = [
        "confounds.tsv",
        "coreset.fa.gz",
        "curvature.safetensors",
        "manifest.json",
        "report.html",
        "scores.parquet",
        "selected.tsv",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_coreset_repeats_records_of_the_input_byte_for_byte_and_in_order() {
    let bench = Bench::new();
    let out = bench.at("out");
    done(&["prune", &bench.input, "--keep", "30", "-o", &out, "--sample", "40", "--mask-passes", "1"]);
    let pool = example::short(RECORDS);
    let coreset = example::records(&PathBuf::from(&out).join("coreset.fa.gz"));
    assert_eq!(coreset.len(), 30);
    let mut rest = pool.iter();
    assert!(coreset.iter().all(|record| rest.any(|other| other == record)));

    let selected = String::from_utf8(bytes(&format!("{out}/selected.tsv"))).unwrap();
    let ids: Vec<&str> = selected.lines().skip(1).map(|line| line.split('\t').nth(2).unwrap()).collect();
    let headers: Vec<String> = coreset
        .iter()
        .map(|record| String::from_utf8_lossy(record)[1..].split_whitespace().next().unwrap().to_string())
        .collect();
    assert_eq!(ids, headers);
}

#[test]
fn steps_and_shards_give_the_bytes_of_one_run() {
    let bench = Bench::new();
    let out = bench.at("out");
    done(&["prune", &bench.input, "--keep", "10%", "-o", &out, "--sample", "40", "--threads", "1"]);

    let (curvature, scores, coreset) =
        (bench.at("c.safetensors"), bench.at("s.parquet"), bench.at("coreset"));
    let mut parts: Vec<Vec<String>> = vec![Vec::new(), Vec::new()];
    for shard in ["1/3", "2/3", "3/3"] {
        let part = bench.at(&format!("c{}.safetensors", &shard[..1]));
        done(&["curvature", &bench.input, "-o", &part, "--sample", "40", "--shard", shard, "--threads", "2"]);
        parts[0].push(part);
    }
    merge(&parts[0], &curvature);
    assert!(bytes(&curvature) == bytes(&format!("{out}/curvature.safetensors")), "the curvature differs");
    for shard in ["1/3", "2/3", "3/3"] {
        let part = bench.at(&format!("s{}.parquet", &shard[..1]));
        let batch = ["--max-batch-tokens", "700"];
        done(
            &[&["score", &bench.input, "-o", &part, "--curvature", &curvature, "--shard", shard], &batch[..]]
                .concat(),
        );
        parts[1].push(part);
    }
    merge(&parts[1], &scores);
    assert!(bytes(&scores) == bytes(&format!("{out}/scores.parquet")), "the scores differ");
    done(&["select", &scores, "--keep", "10%", "-o", &coreset]);
    for file in ["selected.tsv", "coreset.fa.gz"] {
        assert!(bytes(&format!("{coreset}/{file}")) == bytes(&format!("{out}/{file}")), "{file} differs");
    }
}

fn merge(parts: &[String], output: &str) {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    done(&[&["merge", "-o", output], &parts[..]].concat());
}

#[test]
fn a_control_has_the_lengths_of_the_selection_it_is_matched_to() {
    let bench = Bench::new();
    let scores = bench.at("s.tsv");
    done(&["score", &bench.input, "-o", &scores, "--sample", "40", "--mask-passes", "1"]);
    let (top, control) = (bench.at("top"), bench.at("control"));
    done(&["select", &scores, "--keep", "20", "-o", &top, "--strategy", "top-k"]);
    let matched = ["--strategy", "random-matched", "--match", &top];
    let summary = done(&[&["select", &scores, "--keep", "20", "-o", &control], &matched[..]].concat());
    assert_eq!(summary["kept"], 20);
    let selected = |folder: &str| String::from_utf8(bytes(&format!("{folder}/selected.tsv"))).unwrap();
    assert!(selected(&top).lines().skip(1).all(|line| line.ends_with("highest")));
    assert!(selected(&control).lines().skip(1).all(|line| line.ends_with("drawn")));
}

#[test]
fn results_go_to_stdout_and_everything_else_to_stderr() {
    let bench = Bench::new();
    let job = ["score", &bench.input, "-o", &bench.at("s.tsv"), "--sample", "20", "--mask-passes", "1"];

    let plain = run(&job);
    assert_eq!(plain.status.code(), Some(0), "{}", stderr(&plain));
    assert!(plain.stdout.is_empty(), "{}", stdout(&plain));
    let said = stderr(&plain);
    for part in [
        "bioprune: curvature: ",
        "bioprune: score: done, 120 records in ",
        "bioprune: done\n",
        "120 records, ",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }

    let quiet = run(&[&job[..], &["--quiet"]].concat());
    assert_eq!((quiet.status.code(), stderr(&quiet)), (Some(0), String::new()));
    assert!(quiet.stdout.is_empty());

    let json = run(&[&job[..], &["--json", "--progress", "none"]].concat());
    let summary: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(summary["counts"]["scored"], RECORDS);
    assert!(!stderr(&json).contains("bioprune: score: "), "{}", stderr(&json));
}

#[test]
fn lower_case_crlf_wrapped_lines_and_a_missing_last_newline_are_read() {
    let bench = Bench::new();
    let odd = bench.at("odd.fa");
    fs::write(&odd, ">a first\r\nacguacgu\r\nacgu\r\n>b\r\nACGTACGTNNACGU").unwrap();
    let out = bench.at("out");
    let summary = done(&["prune", &odd, "--keep", "1", "-o", &out, "--sample", "all", "--exclude-top", "0"]);
    assert_eq!(summary["score"]["counts"]["residues"], 12 + 14);
}
