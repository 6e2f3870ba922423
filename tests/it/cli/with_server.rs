//! `with-server` and `serve --idle-timeout`: a service that lives as long as it is needed.

use super::{bioprune, stderr};
use crate::example;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const PRUNE: &str = "prune in.fa --keep 25% --mask-passes 1 --sample 20 --quiet -o";

fn with_server(folder: &Path, options: &[&str], script: &str) -> std::process::Output {
    let program = env!("CARGO_BIN_EXE_bioprune");
    let mut arguments = vec!["with-server"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    bioprune(&arguments).current_dir(folder).env("PROGRAM", program).env("TMPDIR", folder).output().unwrap()
}

fn inputs() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::rename(example::write_short(40, folder.path()), folder.path().join("in.fa")).unwrap();
    folder
}

#[test]
fn commands_are_done_by_the_service_to_the_same_bytes_and_nothing_is_left_of_it() {
    let folder = inputs();
    let direct = bioprune(&PRUNE.split(' ').chain(["direct"]).collect::<Vec<_>>())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(direct.status.success(), "{}", stderr(&direct));
    let coreset = |name: &str| fs::read(folder.path().join(name).join("coreset.fa.gz")).unwrap();
    for (output, options) in [("socket", &[][..]), ("port", &["--listen", "127.0.0.1:0"])] {
        let script = format!(
            "echo $BIOPRUNE_SERVER; \"$PROGRAM\" {PRUNE} {output} && \"$PROGRAM\" jobs list --json > {output}.json"
        );
        let ran = with_server(folder.path(), options, &script);
        assert!(ran.status.success(), "{}", stderr(&ran));
        assert_eq!(coreset(output), coreset("direct"), "{output}");
        let jobs = fs::read_to_string(folder.path().join(format!("{output}.json"))).unwrap();
        assert!(jobs.contains("\"complete\""), "the service did it: {jobs}");
        let address = String::from_utf8(ran.stdout).unwrap();
        let (scheme, rest) = address.trim().split_once("://").unwrap();
        assert_eq!(scheme, if output == "socket" { "unix" } else { "http" });
        assert!(scheme == "http" || !Path::new(rest).exists(), "{address}");
    }
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("bioprune-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_ends_as_the_command_ends() {
    let folder = inputs();
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        assert_eq!(with_server(folder.path(), &[], script).status.code(), Some(status), "{script}");
    }
    let missing = bioprune(&["with-server", "--", "no-such-command"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("no-such-command"), "{}", stderr(&missing));
    // nobody but the bearer of the token is served
    let stranger = "BIOPRUNE_TOKEN=other \"$PROGRAM\" jobs list";
    assert_eq!(with_server(folder.path(), &["--listen", "127.0.0.1:0"], stranger).status.code(), Some(77));
    // what was not allowed is not touched
    let elsewhere = format!("\"$PROGRAM\" {PRUNE} /elsewhere/out");
    let allowed = ["--allow", folder.path().to_str().unwrap()];
    assert_eq!(with_server(folder.path(), &allowed, &elsewhere).status.code(), Some(77));
}

#[test]
fn a_service_that_nobody_uses_ends_by_itself() {
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir, "--idle-timeout", "1"];
    let ended = bioprune(&arguments).timeout(std::time::Duration::from_secs(100)).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("nobody has used the service"), "{}", stderr(&ended));
    // the command goes on
    let folder = inputs();
    let script = "sleep 3; \"$PROGRAM\" jobs list";
    assert_eq!(with_server(folder.path(), &["--idle-timeout", "1"], script).status.code(), Some(104));
}
