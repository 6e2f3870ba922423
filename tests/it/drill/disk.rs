//! A disk that is full: nothing half-written stays on it, and work goes on once there is room.

use super::{ALL, RECORDS, SAME, clean_run, input, names, prune};
use crate::support::service::{Launch, Service};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A small file system in memory; unmounted when it is dropped.
struct Disk(TempDir);

impl Disk {
    /// None, and a word why, where this user may not mount.
    fn mount(mebibytes: u32) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("not drilled: a full disk needs the right to mount a small one");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves no room for another byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn at(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_string()
}

#[test]
fn a_command_whose_disk_is_full_says_so_and_repeated_with_room_gives_the_bytes_of_a_clean_run() {
    let Some(disk) = Disk::mount(4) else { return };
    let folder = tempfile::tempdir().unwrap();
    let rna = at(folder.path(), "rna.fa");
    std::fs::write(&rna, input()).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join("clean").join(name)).unwrap();
    let clean = clean_run(&rna, &at(folder.path(), "clean/"), read, &[]);

    let out = disk.path().join("out");
    std::fs::create_dir(&out).unwrap();
    disk.fill();
    let failed = prune(&rna, &at(disk.path(), "out/")).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(74), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let unfit: Vec<_> = names(&out).into_iter().filter(|name| ALL.contains(&name.as_str())).collect();
    assert!(unfit.is_empty(), "there was no room for {unfit:?}");

    disk.free();
    let done = prune(&rna, &at(disk.path(), "out/")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(names(&out), ALL);
    for name in SAME {
        assert!(std::fs::read(out.join(name)).unwrap() == clean.file(name), "{name}");
    }
}

#[test]
fn a_service_whose_data_directory_is_full_refuses_jobs_loses_none_and_goes_on_once_there_is_room() {
    let Some(disk) = Disk::mount(4) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rna.fa"), input()).unwrap();
    let allow = at(folder.path(), "");
    let flags = ["--allow", &allow, "--commit-every", "0"];
    let service = Launch::new(&disk.path().join("jobs"), &flags).start();
    let request = |output: &str| {
        json!({
            "inputs": [at(folder.path(), "rna.fa")], "output": at(folder.path(), output), "keep": "10%",
            "sample": "60", "threads": 1, "max_batch_tokens": 600
        })
    };
    let submit = |service: &Service, body: &Value| service.call(Method::POST, "/v1/prune", &[], Some(body));

    let running = service.submit("/v1/prune", &request("first/"));
    service.wait(&running, |job| job["state"] == "running");
    disk.fill();
    // the database has some room of its own left: what does not fit is refused, what fits is kept
    let mut kept = Vec::new();
    let refused = (0..500).find_map(|index| {
        let (status, text) = submit(&service, &request(&format!("more-{index}/")));
        let answer: Value = serde_json::from_str(&text).unwrap();
        match status {
            202 => {
                kept.push(answer["id"].as_str().unwrap().to_string());
                None
            }
            429 => None,
            _ => Some((status, answer)),
        }
    });
    let (status, problem) = refused.expect("500 jobs do not fit on a full disk");
    assert_eq!((status, problem["code"].as_str()), (502, Some("storage_failed")), "{problem}");
    assert_eq!(service.get("/healthz").0, 200);
    // its outputs are elsewhere: it is computed, and what cannot be noted is not lost
    service.wait(&running, |_| folder.path().join("first/manifest.json").exists());
    assert_ne!(service.job(&running)["state"], "failed", "{:#?}", service.said());

    disk.free();
    for id in &kept {
        service.call(Method::POST, &format!("/v1/jobs/{id}/cancel"), &[], None);
    }
    let job = service.wait_ended(&running, "complete");
    assert_eq!(job["result"]["select"]["pool"], RECORDS);
    let after = service.submit("/v1/prune", &request("after/"));
    service.wait_ended(&after, "complete");
    for name in SAME {
        let file = |output: &str| std::fs::read(folder.path().join(output).join(name)).unwrap();
        assert!(file("first") == file("after"), "{name}");
    }
}
