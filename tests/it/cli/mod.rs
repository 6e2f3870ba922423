//! The command line as a user meets it: the real program, its exit status, and what it says where.

mod bad_input;
mod evaluate;
mod jobs;
mod signals;
mod with_server;

use assert_cmd::Command;
use bioprune::error::Code;
use std::process::Output;

/// The program, without what the environment of whoever runs the tests would change.
fn bioprune(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BIOPRUNE_"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    // nothing is asked of the hub, and nothing found in a cache
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent");
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    bioprune(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_wrong_flag_is_refused_with_status_2_and_what_is_allowed() {
    let table: &[(&[&str], &str)] = &[
        (&["prune", "a.fa", "-o", "out"], "--keep"),
        (&["prune", "-o", "out", "--keep", "1%"], "INPUTS"),
        (&["prune", "a.fa", "-o", "out", "--keep", "101%"], "allowed are a number of records"),
        (&["prune", "a.fa", "-o", "out", "--keep", "1%", "--strategy", "best"], "top-k, coverage"),
        (
            &["prune", "a.fa", "-o", "out", "--keep", "1%", "--damping", "0x"],
            "a multiple of the mean curvature",
        ),
        (&["prune", "a.fa", "-o", "out", "--keep", "1%", "--mask-passes", "8"], "1..=7"),
        (&["prune", "a.fa", "-o", "out", "--keep", "1%", "--exclude-top", "1"], "from 0 up to"),
        (&["prune", "a.fa", "-o", "out", "--keep", "1%", "--on-illegal", "drop"], "error, skip"),
        (&["score", "a.fa", "-o", "s.tsv", "--shard", "9/8"], "1 <= I <= N"),
        (
            &["score", "a.fa", "-o", "s.tsv", "--curvature", "c.safetensors", "--sample", "10"],
            "cannot be used with",
        ),
        (&["models"], "list"),
        (&["completions", "tcsh"], "bash, elvish, fish"),
        (&["score", "-v", "-q", "a.fa", "-o", "s.tsv"], "cannot be used with"),
        (&["prun"], "prune"),
    ];
    for (arguments, allowed) in table {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(allowed),
            "{arguments:?} should name {allowed:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_results_on_stdout() {
    for arguments in [&["--help"][..], &["prune", "--help"], &["help", "select"], &["--version"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(stdout(&output).contains("bioprune"), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_help_names_every_exit_status_of_the_table() {
    let help = stdout(&run(&["--help"]));
    let named: Vec<u8> =
        help.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    for code in Code::ALL {
        assert!(named.contains(&code.info().exit), "{} exits with {}", code.info().name, code.info().exit);
    }
}

#[test]
fn a_completion_script_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("curvature"), "{shell}");
    }
}

#[test]
fn manual_pages_come_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let output = run(&["man", pages.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for page in ["bioprune.1", "bioprune-prune.1", "bioprune-score.1", "bioprune-models-show.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    assert!(stdout(&run(&["man"])).contains(".TH bioprune 1"));
}

#[test]
fn a_manual_directory_that_cannot_be_made_is_a_storage_failure() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("man");
    let output = run(&["man", below.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(74));
    assert!(stderr(&output).contains(below.to_str().unwrap()), "{}", stderr(&output));
}

#[test]
fn models_are_listed_as_json_and_shown_one_by_one() {
    let list = run(&["models", "list", "--json"]);
    assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
    let models: Vec<serde_json::Value> = serde_json::from_slice(&list.stdout).unwrap();
    let embedded = models.iter().filter(|model| model["status"] == "embedded");
    let names: Vec<&str> = embedded.map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rna-nano", "protein-nano", "rna-hairpins"]);
    for name in names {
        let shown = run(&["models", "show", name]);
        assert_eq!(shown.status.code(), Some(0), "{name}");
        assert!(stdout(&shown).contains(name));
    }
}

#[test]
fn an_unknown_model_has_status_69_and_the_known_ones_are_named() {
    let output = run(&["models", "show", "rna-giga"]);
    assert_eq!(output.status.code(), Some(69));
    let message = stderr(&output);
    assert!(message.starts_with("bioprune: error: model \"rna-giga\""), "{message}");
    assert!(message.contains("rna-nano"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    use std::process::Stdio;
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn progress_counts_against_the_records_of_the_input_once_they_were_counted() {
    let folder = tempfile::tempdir().unwrap();
    let fasta: String = (0..30).map(|i| format!(">{i}\n{}\n", "ACGUUGCA".repeat(2 + i % 5))).collect();
    std::fs::write(folder.path().join("a.fa"), fasta + ">illegal\nAC-GU1\n").unwrap();
    let job = "prune a.fa -o out --keep 10% --model rna-nano --adapt --sample 8 --mask-passes 1 --on-illegal skip --progress plain";
    let output = bioprune(&job.split(' ').collect::<Vec<_>>()).current_dir(folder.path()).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for expected in [
        "scan: done, 31 records",
        "adapt: 0 of 8 records",
        "adapt: done, 8 records",
        "curvature: 0 of 8 records",
        "curvature: done, 8 records",
        "score: 0 of 31 records",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
