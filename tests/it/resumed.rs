//! Jobs that are stopped right after a commit: repeated, they go on from there, to the bytes of a run that nothing stopped.

use crate::example;
use crate::pipeline::{folder_with, records, request, tiny};
use bioprune::error::{Code, Result};
use bioprune::pipeline::{
    self, CancelToken, Context, CurvatureRequest, CurvatureSummary, Progress, ProgressSink, ScoreRequest,
};
use bioprune::storage::Storage;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Stops the job at one of its commits.
struct StopAt {
    commit: u64,
    commits: AtomicU64,
    stop: fn(&CancelToken),
    cancel: CancelToken,
}

impl ProgressSink for StopAt {
    fn update(&self, _: &Progress) {}

    fn committed(&self) {
        if self.commits.fetch_add(1, Ordering::Relaxed) + 1 == self.commit {
            (self.stop)(&self.cancel);
        }
    }
}

/// Commits after every batch, and stops at the `commit`th; 0 does not stop.
fn stopped_at(commit: u64, stop: fn(&CancelToken)) -> Context {
    let cancel = CancelToken::default();
    let sink = StopAt { commit, commits: AtomicU64::new(0), stop, cancel: cancel.clone() };
    Context::new(&Storage::from_env().unwrap(), Arc::new(sink), cancel, Duration::ZERO)
}

fn on(commit: u64) -> Context {
    stopped_at(commit, CancelToken::suspend)
}

fn curvature(input: &Path, output: &Path, more: Value, context: &Context) -> Result<CurvatureSummary> {
    let base = request::<Value>(tiny(), json!({"inputs": [input], "output": output}));
    pipeline::curvature(&request::<CurvatureRequest>(base, more), context)
}

fn score(input: &Path, output: &Path, more: Value, context: &Context) -> Result<pipeline::ScoreSummary> {
    let base = request::<Value>(tiny(), json!({"inputs": [input], "output": output}));
    pipeline::score(&request::<ScoreRequest>(base, more), context)
}

#[test]
fn a_curvature_goes_on_from_the_records_that_it_had_added() {
    let (folder, input) = folder_with("rna.fa", &(records(60) + ">short\nA\n>none\n\n" + &records(30)));
    let at = |name: &str| folder.path().join(name);
    for more in [
        json!({"sample": "all", "on_empty": "skip"}),
        json!({"sample": "50", "on_empty": "skip", "seed": 3}),
        json!({"sample": "70%", "on_empty": "skip", "shard": "2/2", "threads": 3}),
    ] {
        let clean = curvature(&input, &at("clean.safetensors"), more.clone(), &on(0)).unwrap();
        assert_eq!(clean.reused, 0);
        let (out, part) = (at("c.safetensors"), at("_c.safetensors.parts").join("curvature.safetensors"));
        for stops in [1, 2] {
            let error = curvature(&input, &out, more.clone(), &on(stops)).unwrap_err();
            assert_eq!(error.code, Code::Canceled, "{error}");
            assert!(part.exists() && !out.exists(), "{more}");
        }
        // what is committed is no curvature that one could score with
        let error = score(&input, &at("s.tsv"), json!({"curvature": part}), &on(0)).unwrap_err();
        assert!(
            error.code == Code::BadInput && error.to_string().contains("_c.safetensors.parts"),
            "{error}"
        );

        let resumed = curvature(&input, &out, more.clone(), &on(0)).unwrap();
        assert!((1..=resumed.sampled).contains(&resumed.reused), "{more}: {} reused", resumed.reused);
        assert_eq!((resumed.sampled, &resumed.counts), (clean.sampled, &clean.counts), "{more}");
        assert!(fs::read(&out).unwrap() == fs::read(at("clean.safetensors")).unwrap(), "{more}");
        assert!(!part.parent().unwrap().exists(), "nothing is left over");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn what_another_curvature_committed_is_not_used_and_a_canceled_one_leaves_nothing() {
    let (folder, input) = folder_with("rna.fa", &records(60));
    let (out, parts) = (folder.path().join("c.safetensors"), folder.path().join("_c.safetensors.parts"));
    curvature(&input, &out, json!({}), &on(1)).unwrap_err();
    let other = curvature(&input, &out, json!({"seed": 4}), &on(0)).unwrap();
    assert_eq!((other.reused, parts.exists()), (0, false));

    curvature(&input, &out, json!({}), &on(1)).unwrap_err();
    fs::write(parts.join("curvature.safetensors"), b"torn").unwrap();
    assert_eq!(curvature(&input, &out, json!({}), &on(0)).unwrap().reused, 0);

    let canceled = stopped_at(2, CancelToken::cancel);
    assert_eq!(curvature(&input, &out, json!({}), &canceled).unwrap_err().code, Code::Canceled);
    assert!(!parts.exists(), "nothing is left behind");
}

#[test]
fn a_scoring_keeps_the_curvature_that_it_made_for_itself_until_its_scores_are_there() {
    let (folder, input) = folder_with("rna.fa", &records(60));
    let at = |name: &str| folder.path().join(name);
    let more = json!({"sample": "all"});
    score(&input, &at("clean.parquet"), more.clone(), &on(0)).unwrap();
    let (out, parts) = (at("s.parquet"), at("_s.parquet.parts"));
    let names = || {
        let entries = fs::read_dir(&parts).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // in the curvature, then among the scores
    score(&input, &out, more.clone(), &on(3)).unwrap_err();
    assert_eq!(names(), ["curvature.safetensors"]);
    let mut stops = 1;
    while names().len() < 2 {
        score(&input, &out, more.clone(), &on(stops)).unwrap_err();
        stops += 1;
    }
    let summary = score(&input, &out, more, &on(0)).unwrap();
    assert!((1..summary.counts.scored).contains(&summary.reused), "{}", summary.reused);
    assert!(fs::read(&out).unwrap() == fs::read(at("clean.parquet")).unwrap());
    assert!(!parts.exists(), "nothing is left over");
}

/// The files below a folder, by their paths in it.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => files.extend(files_below(&entry)),
            false => files.push(entry.to_str().unwrap().to_string()),
        }
    }
    files
}

/// A prune that commits each small batch apart from its outputs, in a folder of its own with a copy of the input.
fn attempt(folder: &Path, committed: &Path, input: &[u8]) -> Command {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("rna.fa"), input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    command.current_dir(folder).args(["prune", "rna.fa", "-o", "out", "--keep", "10%", "--sample", "120"]);
    command.args(["--threads", "1", "--max-batch-tokens", "600", "--commit-every", "0", "--json", "-q"]);
    command.env("BIOPRUNE_COMMIT_TO", committed).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn an_attempt_in_another_folder_goes_on_from_what_was_committed_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (committed, input) = (at("committed"), example::short(240).concat());
    for (name, files) in [("first", "/curvature.safetensors-"), ("second", "/scores.parquet-")] {
        let mut killed = attempt(&at(name), &committed, &input).spawn().unwrap();
        let whole =
            |file: &String| file.contains(files) && !file.rsplit('/').next().unwrap().starts_with('.');
        while !files_below(&committed).iter().any(whole) {
            assert!(killed.try_wait().unwrap().is_none(), "{name}: it ended before it committed {files}");
            std::thread::sleep(Duration::from_millis(2));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        let beside: Vec<_> = files_below(&at(name).join("out"));
        assert!(beside.iter().all(|file| !file.contains(".parts")), "{beside:?}");
    }
    let third = attempt(&at("third"), &committed, &input).output().unwrap();
    assert!(third.status.success(), "{}", String::from_utf8_lossy(&third.stderr));
    let summary: Value = serde_json::from_slice(&third.stdout).unwrap();
    for (step, of) in
        [("curvature", &summary["curvature"]["sampled"]), ("score", &summary["score"]["counts"]["scored"])]
    {
        let reused = &summary[step]["reused"];
        assert!((1..=of.as_u64().unwrap()).contains(&reused.as_u64().unwrap()), "{step}: {reused} of {of}");
    }
    assert_eq!(files_below(&committed), Vec::<String>::new(), "nothing is left over");

    let clean = attempt(&at("clean"), &at("other"), &input).output().unwrap();
    assert!(clean.status.success());
    for name in ["coreset.fa.gz", "selected.tsv", "confounds.tsv"] {
        let read = |of: &str| fs::read(at(of).join("out").join(name)).unwrap();
        assert!(read("third") == read("clean"), "{name}");
    }

    // what cannot get any further on another try leaves nothing
    let torn = [&input[..], b">bad\nACGE\n"].concat();
    let failed = attempt(&at("torn"), &committed, &torn).output().unwrap();
    assert_eq!(failed.status.code(), Some(65), "{}", String::from_utf8_lossy(&failed.stderr));
    assert_eq!(files_below(&committed), Vec::<String>::new());
}
