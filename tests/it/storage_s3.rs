//! Storage and datasets against a real S3 server.
//!
//! A store is configured by the environment, which belongs to a whole process: what runs against the server are the
//! ignored tests below, each in a process of its own that has the environment.

use crate::storage::conforms;
use crate::support::s3::{S3Server, User};
use bioprune::error::Code;
use bioprune::sequence::{CoresetWriter, Dataset, InputOptions, Record, Shard};
use bioprune::storage::{Location, Storage};
use std::io::Write;
use std::process::Command;

const BUCKET: &str = "s3://pruning";

#[test]
fn an_s3_server_conforms() {
    let server = S3Server::start();
    server.make_bucket("pruning");
    run_in_environment("suite", &server, User::All);
    put_many(&server);
    run_in_environment("ten_thousand_objects", &server, User::All);
    run_in_environment("sharded_dataset", &server, User::All);
    run_in_environment("models", &server, User::All);
    run_in_environment("read_only", &server, User::ReadOnly);
    let parts = |name: &str| {
        run_in_environment(name, &server, User::All);
        server.keys("pruning").iter().filter(|key| key.starts_with(".uploads/")).count()
    };
    assert!(parts("uploads_left_unfinished") >= 3, "the server keeps what was not finished");
    assert_eq!(parts("uploads_written_anew"), 0, "and forgets it when the same is written again");
}

/// Ten of S3's pages of 1000, and a little more.
const MANY: usize = 10_010;

fn key(index: usize) -> String {
    format!("pages/{}/{index:05}.fa", index % 3)
}

/// Past the S3 interface, where an object of a few bytes takes a millisecond.
fn put_many(server: &S3Server) {
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for first in 0..8 {
            scope.spawn(move || {
                (first..MANY).step_by(8).for_each(|index| server.put("pruning", &key(index), b">a\nAC\n"));
            });
        }
    });
    println!("{MANY} objects put within {:?}", began.elapsed());
}

fn run_in_environment(name: &str, server: &S3Server, user: User) {
    let name = format!("storage_s3::{name}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--ignored", "--nocapture"])
        .envs(server.environment(user))
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("1 passed"), "{name}:\n{stdout}\n{stderr}");
}

fn location(name: &str) -> Location {
    format!("{BUCKET}/{name}").parse().unwrap()
}

fn put(storage: &Storage, location: &Location, bytes: &[u8]) {
    let mut writer = storage.create(location).unwrap();
    writer.write_all(bytes).unwrap();
    writer.commit().unwrap();
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn suite() {
    conforms(&location("suite"));
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn ten_thousand_objects() {
    let storage = Storage::from_env().unwrap();
    let mut expected: Vec<Location> = (0..MANY).map(|index| location(&key(index))).collect();
    expected.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    let listed = |pattern: &str| {
        let began = std::time::Instant::now();
        let found = storage.list(&format!("{BUCKET}/{pattern}")).unwrap();
        println!("{pattern}: {} objects listed within {:?}", found.len(), began.elapsed());
        found.into_iter().map(|info| info.location).collect::<Vec<_>>()
    };
    for pattern in ["pages", "pages/*/*.fa", "pages/**/*.fa"] {
        assert_eq!(listed(pattern), expected, "{pattern}");
    }
    let ones = expected.iter().filter(|location| location.as_str().ends_with("1.fa"));
    assert_eq!(listed("pages/[0-9]/*1.fa"), ones.cloned().collect::<Vec<_>>());
    let refused = storage.clone().listing_at_most(MANY - 1).list(&format!("{BUCKET}/pages")).unwrap_err();
    assert!(refused.message.contains("10010 objects; allowed are at most 10009"), "{refused}");
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn sharded_dataset() {
    let storage = Storage::from_env().unwrap();
    let text: String = (0..200_000).map(|id| format!(">id{id} x\nACGUACGUACGUACGUAC\nACGU\n")).collect();
    put(&storage, &location("data/plain.fa"), text.as_bytes());
    let plain =
        Dataset::open(&storage, &[format!("{BUCKET}/data/plain.fa")], &InputOptions::default()).unwrap();
    let mut writer = CoresetWriter::create(&storage, &location("data/blocks.fa.gz")).unwrap();
    plain.records(None).for_each(|record| writer.write(&record.unwrap()).unwrap());
    writer.finish().unwrap();

    let dataset =
        Dataset::open(&storage, &[format!("{BUCKET}/data/*.fa*")], &InputOptions::default()).unwrap();
    let whole: Vec<Record> = dataset.records(None).collect::<Result<_, _>>().unwrap();
    assert_eq!(whole.len(), 400_000);
    let shards = (1..=7).flat_map(|index| dataset.records(Some(Shard { index, count: 7 })));
    assert!(shards.map(Result::unwrap).eq(whole));

    let recorded = Dataset::from_sources(&storage, dataset.sources(), &InputOptions::default()).unwrap();
    assert!(recorded.records(Some(Shard { index: 7, count: 7 })).next().unwrap().is_ok());
    put(&storage, &location("data/plain.fa"), text.to_lowercase().as_bytes());
    let again = Dataset::from_sources(&storage, dataset.sources(), &InputOptions::default());
    assert_eq!(again.err().unwrap().code, Code::SourceChanged);
    let stale = dataset.records(None).find_map(Result::err);
    assert_eq!(stale.unwrap().code, Code::SourceChanged);
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn models() {
    let storage = Storage::from_env().unwrap();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["bert/model.safetensors", "bert/config.json", "bert/vocab.txt", "rna_fm/RNA-FM_tiny.pth"] {
        put(&storage, &location(&format!("models/{name}")), &std::fs::read(fixtures.join(name)).unwrap());
    }
    for (model, local) in [
        ("models/bert/model.safetensors", "bert"),
        ("models/bert", "bert"),
        ("models/bert/", "bert"),
        ("models/rna_fm/RNA-FM_tiny.pth", "rna_fm/RNA-FM_tiny.pth"),
        ("models/rna_fm", "rna_fm/RNA-FM_tiny.pth"),
    ] {
        let describe = |model: &str| bioprune::model::describe(model, &storage).unwrap();
        let (there, here) =
            (describe(&format!("{BUCKET}/{model}")), describe(fixtures.join(local).to_str().unwrap()));
        assert_eq!((there.digest, there.attention_heads), (here.digest, here.attention_heads), "{model}");
    }
    let missing = bioprune::model::describe(&format!("{BUCKET}/models/none.pth"), &storage).unwrap_err();
    assert_eq!(missing.code, Code::ModelUnavailable);
    assert!(missing.to_string().contains("models/none.pth"), "{missing}");
    let several = bioprune::model::describe(&format!("{BUCKET}/models"), &storage).unwrap_err();
    assert!(
        several.message.contains("name one of bert/model.safetensors, rna_fm/RNA-FM_tiny.pth"),
        "{several}"
    );
}

/// What is uploaded in parts.
const LARGE: usize = 40 << 20;

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn uploads_left_unfinished() {
    let storage = Storage::from_env().unwrap();
    for name in ["large/a", "large/a.b", "large/parts/c"] {
        let mut writer = storage.create(&location(name)).unwrap();
        writer.write_all(&vec![7; LARGE]).unwrap();
        // as if the process were killed
        std::mem::forget(writer);
    }
    // what is under way gets there
    std::thread::sleep(std::time::Duration::from_secs(3));
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn uploads_written_anew() {
    let storage = Storage::from_env().unwrap();
    // of two names that begin alike the one that is written is looked after
    let mut living = storage.create(&location("large/a.b")).unwrap();
    living.write_all(&vec![8; LARGE]).unwrap();
    put(&storage, &location("large/a"), &vec![9; LARGE]);
    living.commit().unwrap();
    storage.clear(&location("large/parts/")).unwrap();
    let found = storage.list(&format!("{BUCKET}/large/")).unwrap();
    let sizes: Vec<_> = found.iter().map(|info| (info.location.file_name(), info.size)).collect();
    assert_eq!(sizes, [("a", LARGE as u64), ("a.b", LARGE as u64)]);
}

#[test]
#[ignore = "run by an_s3_server_conforms"]
fn read_only() {
    let storage = Storage::from_env().unwrap();
    assert!(storage.exists(&location("data/plain.fa")).unwrap());
    let mut writer = storage.create(&location("data/new.fa")).unwrap();
    writer.write_all(b">a\nAC\n").unwrap();
    let error = writer.commit().unwrap_err();
    assert_eq!(error.code, Code::StorageFailed);
    assert!(error.message.contains("no permission to write s3://pruning/data/new.fa"), "{error}");

    let missing = storage.list("s3://no-such-bucket/a.fa").unwrap_err();
    assert!(missing.message.contains("s3://no-such-bucket/a.fa"), "{missing}");
}
