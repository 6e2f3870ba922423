//! The clock moved by more than a year, there and back, while a job runs: `BIOPRUNE_TEST_FAKETIME` names libfaketime.

use super::{RECORDS, SAME, clean_run, input};
use crate::support::service::Launch;
use serde_json::json;

#[test]
fn a_job_does_not_notice_that_the_clock_is_moved() {
    let library =
        std::env::var("BIOPRUNE_TEST_FAKETIME").expect("BIOPRUNE_TEST_FAKETIME names libfaketimeMT.so.1");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::write(at("rna.fa"), input()).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join("clean").join(name)).unwrap();
    let clean = clean_run(&at("rna.fa"), &at("clean/"), read, &[]);

    let set_clock = |offset: &str| std::fs::write(at("clock"), format!("{offset}\n")).unwrap();
    set_clock("+0");
    let environment = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", at("clock")),
        ("FAKETIME_NO_CACHE", "1".to_string()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_string()),
        ("DONT_FAKE_MONOTONIC", "1".to_string()),
    ];
    let allow = at("");
    let launch = Launch::new(&folder.path().join("jobs"), &["--allow", &allow, "--commit-every", "0"]);
    let launch = launch.with(&environment);
    let request = |output: &str| {
        json!({
            "inputs": [at("rna.fa")], "output": at(output), "keep": "10%", "sample": "60", "threads": 1,
            "max_batch_tokens": 600
        })
    };
    let service = launch.start();
    let id = service.submit("/v1/prune", &request("out/"));
    let scored = |records: u64| {
        service.wait(&id, move |job| {
            job["state"] == "complete"
                || job["progress"]["records"].as_u64().is_some_and(|done| done > records)
        })
    };
    scored(20);
    set_clock("+400d");
    let asked = service.job(&id);
    assert_eq!(asked["state"], "running", "{asked}");
    scored(80);
    set_clock("-400d");
    let job = service.wait_ended(&id, "complete");
    assert_eq!(job["result"]["select"]["pool"], RECORDS);
    for name in SAME {
        assert!(std::fs::read(folder.path().join("out").join(name)).unwrap() == clean.file(name), "{name}");
    }

    // an older clock than the job's: it is known still, and asked for again it is the same
    service.kill();
    let service = launch.start();
    assert_eq!(service.submit("/v1/prune", &request("out/")), id);
    assert_eq!(service.job(&id)["state"], "complete");
    // long after its time to be kept it may be gone, and new ones run
    set_clock("+400d");
    let next = service.submit("/v1/prune", &request("next/"));
    service.wait_ended(&next, "complete");
}
