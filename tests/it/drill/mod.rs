//! Drills: what happens when processes are killed, stores fail and disks are full. Each ends with the bytes of a run
//! that nothing happened to. `BIOPRUNE_CHAOS` repeats them as often as it says (`just chaos`).

mod clock;
mod command;
mod disk;
mod faults;
mod load;
mod proxy;
mod replicas;
mod server;

use crate::example;
use crate::support::s3::S3Server;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Records that are scored for a few seconds on one thread.
const RECORDS: usize = 240;
const BUCKET: &str = "pruning";
const INPUT: &str = "in/rna.fa";

/// What a prune writes, but for the manifest and the report, which tell times and places.
const SAME: [&str; 5] =
    ["confounds.tsv", "coreset.fa.gz", "curvature.safetensors", "scores.parquet", "selected.tsv"];
const ALL: [&str; 7] = [
    "confounds.tsv",
    "coreset.fa.gz",
    "curvature.safetensors",
    "manifest.json",
    "report.html",
    "scores.parquet",
    "selected.tsv",
];

/// A run on which nothing happened, for comparison: its files and how long it took.
struct Clean {
    files: Vec<(&'static str, Vec<u8>)>,
    took: Duration,
}

impl Clean {
    fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(known, _)| *known == name).unwrap().1
    }
}

/// A prune as a command, with flags that make it commit often and take one thread.
fn prune(input: &str, output: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    command.args(["prune", input, "-o", output, "--keep", "10%", "--sample", "60", "--threads", "1"]);
    command.args(["--max-batch-tokens", "600", "--commit-every", "0", "--progress", "none"]);
    command
}

/// The names in a folder, in their order; none where there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The same as a request.
fn request(output: &str) -> Value {
    json!({
        "inputs": [format!("s3://{BUCKET}/{INPUT}")], "output": format!("s3://{BUCKET}/{output}/"), "keep": "10%",
        "sample": "60", "threads": 1, "max_batch_tokens": 600
    })
}

fn input() -> Vec<u8> {
    example::short(RECORDS).concat()
}

/// A store with the input in it.
fn store() -> S3Server {
    let store = S3Server::start();
    store.make_bucket(BUCKET);
    store.put(BUCKET, INPUT, &input());
    store
}

/// Scores name their sources, so that a run is compared with one over the same location.
fn clean_run(
    input: &str,
    output: &str,
    read: impl Fn(&str) -> Vec<u8>,
    environment: &[(&str, String)],
) -> Clean {
    let began = Instant::now();
    let environment = environment.iter().map(|(name, value)| (name, value));
    let run = prune(input, output).envs(environment).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let took = began.elapsed();
    Clean { files: SAME.iter().map(|name| (*name, read(name))).collect(), took }
}

/// A clean run over the input in a store.
fn clean_in(store: &S3Server) -> Clean {
    let environment = store.environment(crate::support::s3::User::All);
    let (input, output) = (format!("s3://{BUCKET}/{INPUT}"), format!("s3://{BUCKET}/clean/"));
    let read = |name: &str| store.get(BUCKET, &format!("clean/{name}")).unwrap();
    clean_run(&input, &output, read, &environment)
}

/// The keys below a prefix, without it.
fn keys_below(store: &S3Server, prefix: &str) -> Vec<String> {
    store.keys(BUCKET).iter().filter_map(|key| key.strip_prefix(prefix)).map(str::to_string).collect()
}

/// Holds an output in a store to that of a clean run: the same bytes, and nothing else there.
fn assert_same(store: &S3Server, output: &str, clean: &Clean) {
    assert_eq!(keys_below(store, &format!("{output}/")), ALL);
    for name in SAME {
        let found = store.get(BUCKET, &format!("{output}/{name}")).unwrap();
        assert!(found == clean.file(name), "{name} is not that of a clean run");
    }
    let uploads: Vec<String> =
        store.keys(BUCKET).into_iter().filter(|key| key.starts_with(".uploads")).collect();
    assert!(uploads.is_empty(), "{uploads:?}");
}
