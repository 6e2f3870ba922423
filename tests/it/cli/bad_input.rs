//! What is wrong with an input is named, has its exit status, and leaves nothing that looks finished.

use super::{run, stderr};
use crate::example;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Files below `folder` that do not bear a temporary name.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

#[test]
fn each_fault_of_an_input_is_named_and_leaves_nothing() {
    let good: Vec<u8> = example::short(40).concat();
    let with = |tail: &[u8]| [&good[..], tail].concat();
    let zipped = gzip(&good);
    let zst = zstd::encode_all(&good[..], 3).unwrap();
    let table: &[(&str, Vec<u8>, i32, &[&str])] = &[
        ("empty.fa", Vec::new(), 65, &[]),
        ("prose.fa", b"these are not sequences\nat all\n".to_vec(), 65, &[]),
        ("cut.fa.gz", zipped[..zipped.len() / 2].to_vec(), 65, &[]),
        ("cut.fa.zst", zst[..zst.len() / 2].to_vec(), 65, &[]),
        ("illegal.fa", with(b">bad one\nACGU!CGU\n"), 65, &["bad", "'!'"]),
        ("hollow.fa", with(b">hollow one\n>next\nACGUACGU\n"), 65, &["hollow"]),
    ];
    for (name, content, status, named) in table {
        let folder = tempfile::tempdir().unwrap();
        let (input, out) = (folder.path().join(name), folder.path().join("out"));
        fs::write(&input, content).unwrap();
        let arguments = ["prune", input.to_str().unwrap(), "--keep", "10%", "-o", out.to_str().unwrap()];
        let output = run(&[&arguments[..], &["--mask-passes", "1", "--quiet"]].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(*status), "{name}: {message}");
        assert!(message.starts_with("bioprune: error: ") && message.contains(name), "{name}: {message}");
        for part in *named {
            assert!(message.contains(part), "{name} should name {part}: {message}");
        }
        assert_eq!(files(&out), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn an_input_that_is_not_there_has_status_66() {
    let folder = tempfile::tempdir().unwrap();
    for input in ["missing.fa", "missing-*.fa"] {
        let path = folder.path().join(input);
        let out = folder.path().join("out");
        let output =
            run(&["prune", path.to_str().unwrap(), "--keep", "1", "-o", out.to_str().unwrap(), "-q"]);
        assert_eq!(output.status.code(), Some(66), "{}", stderr(&output));
        assert!(stderr(&output).contains(input), "{}", stderr(&output));
        assert!(!out.exists());
    }
}

#[test]
fn a_record_with_an_illegal_character_is_left_out_and_counted_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let (input, scores) = (folder.path().join("in.fa"), folder.path().join("s.tsv"));
    fs::write(&input, ">a\nACGUACGUAC\n>b\nACG!ACGUAC\n>c\nGGGUACGUAC\n").unwrap();
    let arguments =
        ["score", input.to_str().unwrap(), "-o", scores.to_str().unwrap(), "--on-illegal", "skip"];
    let output = run(&[&arguments[..], &["--json", "--sample", "all"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["counts"]["skipped"]["illegal"], 1, "{summary}");
    assert_eq!(summary["counts"]["scored"], 2);
    assert!(stderr(&output).contains("1 record (1 illegal)"), "{}", stderr(&output));
}

#[test]
fn a_model_that_cannot_be_used_has_status_69() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (example::write_short(20, folder.path()), folder.path().join("out"));
    let noise = folder.path().join("noise.safetensors");
    fs::write(&noise, b"these are not tensors").unwrap();
    for model in ["rna-giga", noise.to_str().unwrap()] {
        let arguments =
            ["prune", input.to_str().unwrap(), "--keep", "1", "-o", out.to_str().unwrap(), "--quiet"];
        let output = run(&[&arguments[..], &["--model", model]].concat());
        assert_eq!(output.status.code(), Some(69), "{model}: {}", stderr(&output));
        assert!(stderr(&output).contains(model), "{}", stderr(&output));
        assert!(stderr(&output).contains("bioprune: hint: "), "{}", stderr(&output));
        assert_eq!(files(&out), Vec::<String>::new());
    }
}
