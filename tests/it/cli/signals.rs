//! A job that is told to stop ends cleanly, with the status of the signal and without outputs.

use crate::example;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

#[test]
fn a_signal_ends_a_job_without_outputs() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let scores = folder.path().join("scores.parquet");
        let mut child = Command::new(env!("CARGO_BIN_EXE_bioprune"))
            .arg("score")
            .arg(example::path())
            .args(["--sample", "all", "--threads", "1", "--progress", "plain", "-o"])
            .arg(&scores)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // the engine works from the first line on, and for seconds: the signal comes while it does
        while !line.contains("curvature") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "ended before it began");
        }
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{rest}");
        assert!(rest.contains("bioprune: error: canceled"), "{rest}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{rest}");
    }
}
