//! The command, killed at random moments and repeated.

use super::{ALL, Clean, SAME, clean_run, input, names, prune};
use crate::support::moments::{Moments, rounds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// An input, and where a run of it writes.
struct Files {
    folder: TempDir,
    rna: PathBuf,
    out: PathBuf,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let (rna, out) = (folder.path().join("rna.fa"), folder.path().join("out"));
        fs::write(&rna, input()).unwrap();
        Files { folder, rna, out }
    }

    fn clean_run(&self) -> Clean {
        let at = self.folder.path().join("clean");
        let read = |name: &str| fs::read(at.join(name)).unwrap();
        clean_run(self.rna.to_str().unwrap(), at.to_str().unwrap(), read, &[])
    }

    fn prune(&self) -> Command {
        prune(self.rna.to_str().unwrap(), self.out.to_str().unwrap())
    }
}

/// What a killed run may leave under a final name is what a clean run leaves there, and the manifest only beside all of it.
fn assert_nothing_looks_finished_that_is_not(out: &Path, clean: &Clean) {
    let finished = out.join("manifest.json").exists();
    for name in SAME.iter().filter(|name| finished || out.join(name).exists()) {
        assert!(fs::read(out.join(name)).unwrap() == clean.file(name), "{name} is not whole");
    }
}

#[test]
fn a_command_that_is_killed_again_and_again_ends_with_the_bytes_of_a_clean_run() {
    let files = Files::new();
    let (clean, out) = (files.clean_run(), &files.out);

    let mut moments = Moments::new();
    let mut killed = 0;
    for _ in 0..rounds(6) {
        let mut run = files.prune().stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moments.within(clean.took / 2));
        if run.try_wait().unwrap().is_some() {
            // it was done before its moment came: begin anew
            fs::remove_dir_all(out).unwrap();
            continue;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        killed += 1;
        assert_nothing_looks_finished_that_is_not(out, &clean);
    }
    assert!(killed > 0, "no run was killed: all were done in less than half the time of the first");
    let run = files.prune().output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(names(out), ALL, "nothing is left over");
    for name in SAME {
        assert!(fs::read(out.join(name)).unwrap() == clean.file(name), "{name} after {killed} kills");
    }
}

#[test]
fn a_command_that_is_interrupted_goes_on_from_the_scores_that_it_committed() {
    let files = Files::new();
    let out = &files.out;
    let mut run = files.prune().stderr(Stdio::null()).spawn().unwrap();
    let parts = out.join("_scores.parquet.parts");
    while names(&parts).iter().filter(|name| name.starts_with("after")).count() < 2 {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it committed anything");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupt = format!("kill -INT {}", run.id());
    assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let again = files.prune().args(["--json", "-v"]).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success(), "{said}");
    assert!(said.contains("scores that an earlier run committed"), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    let (reused, scored) = (&summary["score"]["reused"], &summary["score"]["counts"]["scored"]);
    assert!(reused.as_u64() > Some(0) && reused.as_u64() < scored.as_u64(), "{reused} of {scored}");
    assert_eq!(names(out), ALL);
}

/// As on a cluster, where a job is started again because its node was given up, and the node still works.
#[test]
fn two_attempts_at_one_output_do_not_hinder_each_other() {
    let files = Files::new();
    let (clean, out) = (files.clean_run(), &files.out);
    for _ in 0..rounds(2) {
        let attempts = [(); 2].map(|()| files.prune().stderr(Stdio::piped()).spawn().unwrap());
        for attempt in attempts {
            let ended = attempt.wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        assert_eq!(names(out), ALL, "nothing is left over");
        for name in SAME {
            assert!(fs::read(out.join(name)).unwrap() == clean.file(name), "{name}");
        }
        fs::remove_dir_all(out).unwrap();
    }
}
