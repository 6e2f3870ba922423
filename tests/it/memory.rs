//! Memory does not grow with what is read: a process holds less than the smaller of two objects, and as much for the one as
//! for the other. `BIOPRUNE_MEMORY_MB` makes the larger object so large (`just memory`).

use crate::support::measured::measured;
use crate::support::s3::{S3Server, User};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

/// Megabytes of the smaller object, and of the larger one where nothing else is asked for.
const SMALL: u64 = 256;
const LARGE: u64 = 512;
/// What two runs of one program may differ by, in bytes: which buffers are full at once, the allocator's own.
const SLACK: u64 = 48 << 20;

/// Writes FASTA of so many megabytes; gives its records.
fn write_fasta(path: &Path, megabytes: u64) -> u64 {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let sequence = [b"ACGUUGCAGGCUAUCC".as_slice(); 62].concat();
    let record_bytes = sequence.len() as u64 + 12;
    let records = (megabytes << 20) / record_bytes;
    for record in 0..records {
        // no two records are the same
        writeln!(file, ">{record:09}").unwrap();
        file.write_all(&sequence).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    records
}

/// Reads every record, as a scoring does, and computes on very few: the curvature of a small sample.
fn curvature(input: &str, output: &Path, environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    command.args(["curvature", input, "--sample", "20", "--mask-passes", "1", "--threads", "1", "--json"]);
    command.args(["--model", "rna-nano", "--progress", "none", "-o"]).arg(output);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdout(std::process::Stdio::null());
    command
}

fn held(megabytes: u64, input: &str, output: &Path, environment: &[(&str, String)]) -> u64 {
    let began = std::time::Instant::now();
    let (status, said, most) = measured(&mut curvature(input, output, environment));
    assert_eq!(status, Some(0), "{said}");
    println!("{megabytes} MB of {input}: within {} MiB, {:?}", most >> 20, began.elapsed());
    most
}

fn assert_same_memory(small: u64, large: u64) {
    assert!(small < SMALL << 20, "{small} bytes for {SMALL} MB");
    assert!(large < small + SLACK, "{small} bytes for the smaller object, {large} for the larger one");
}

fn large() -> u64 {
    std::env::var("BIOPRUNE_MEMORY_MB").map_or(LARGE, |text| text.parse().expect("a number of megabytes"))
}

#[test]
fn memory_does_not_grow_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [small, large] = [SMALL, large()].map(|megabytes| {
        let path = folder.path().join(format!("{megabytes}.fa"));
        write_fasta(&path, megabytes);
        let most = held(megabytes, path.to_str().unwrap(), &folder.path().join("c.safetensors"), &[]);
        std::fs::remove_file(path).unwrap();
        most
    });
    assert_same_memory(small, large);
}

#[test]
fn memory_does_not_grow_with_an_object_in_storage_s3() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start();
    server.make_bucket("large");
    let environment = server.environment(User::All);
    let [small, large] = [SMALL, large()].map(|megabytes| {
        let path = folder.path().join(format!("{megabytes}.fa"));
        write_fasta(&path, megabytes);
        let key = format!("{megabytes}.fa");
        server.put_file("large", &key, &path);
        std::fs::remove_file(&path).unwrap();
        let most =
            held(megabytes, &format!("s3://large/{key}"), &folder.path().join("c.safetensors"), &environment);
        server.delete("large", &key);
        most
    });
    assert_same_memory(small, large);
}
