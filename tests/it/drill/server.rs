//! The service, killed and stopped at random moments over one job.

use super::{BUCKET, assert_same, clean_in, keys_below, request, store};
use crate::support::moments::{Moments, rounds};
use crate::support::s3::User;
use crate::support::service::{Launch, PATIENCE};
use std::time::{Duration, Instant};

#[test]
fn a_service_that_is_killed_again_and_again_completes_its_job_once_with_the_bytes_of_a_clean_run() {
    let store = store();
    let clean = clean_in(&store);
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch::new(directory.path(), &["--commit-every", "0"]).with(&store.environment(User::All));
    let mut moments = Moments::new();
    let mut said = Vec::new();
    let mut id = None;
    let mut manifest = None;
    let parts = || keys_below(&store, "out/_scores.parquet.parts/").len();
    for round in 0..rounds(8) {
        let service = launch.start();
        let known = id.get_or_insert_with(|| service.submit("/v1/prune", &request("out"))).clone();
        if round % 2 == 0 {
            std::thread::sleep(moments.within(clean.took / 3));
        } else {
            // it gets to its next commit: a job that never does so is given up after some starts
            let before = parts();
            service.wait(&known, |job| job["state"] == "complete" || parts() > before);
        }
        assert_ne!(service.job(&known)["state"], "failed", "{:#?}", service.said());
        said.extend(service.kill());
        // whatever is complete once is never written again
        let found = store.get(BUCKET, "out/manifest.json");
        assert!(manifest.is_none() || manifest == found, "the manifest was written twice");
        manifest = found;
    }
    let service = launch.start();
    let id = id.unwrap();
    let job = service.wait_ended(&id, "complete");
    let again = service.submit("/v1/prune", &request("out"));
    assert_eq!(again, id, "the job was not lost");
    said.extend(service.kill());
    assert_same(&store, "out", &clean);
    let completed = said.iter().filter(|line| line.ends_with(&format!("job {id} complete"))).count();
    assert_eq!(completed, 1, "{said:#?}");
    assert!(said.iter().any(|line| line.contains("scores that an earlier run committed")), "{said:#?}");
    assert_eq!(job["result"]["select"]["pool"], super::RECORDS);
}

#[test]
fn a_service_that_is_told_to_stop_commits_what_is_done_and_goes_on_from_there() {
    let store = store();
    let directory = tempfile::tempdir().unwrap();
    // so seldom that only the stop itself commits
    let launch =
        Launch::new(directory.path(), &["--commit-every", "3600"]).with(&store.environment(User::All));
    let service = launch.start();
    let id = service.submit("/v1/prune", &request("out"));
    service.wait(&id, |job| {
        job["progress"]["stage"] == "score" && job["progress"]["records"].as_u64() > Some(50)
    });
    assert_eq!(keys_below(&store, "out/_scores.parquet.parts/"), Vec::<String>::new());
    let began = Instant::now();
    let (status, said) = service.terminate();
    assert_eq!(status, Some(0), "{said:#?}");
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(keys_below(&store, "out/_scores.parquet.parts/"), ["from-start.parquet"]);
    assert!(!keys_below(&store, "out/").contains(&"_.lease".to_string()), "the lease is let go");
    let service = launch.start();
    let job = service.wait_ended(&id, "complete");
    let reused = job["result"]["score"]["reused"].as_u64().unwrap();
    assert!((50..super::RECORDS as u64).contains(&reused), "{reused}");
    assert_same(&store, "out", &clean_in(&store));
}

#[test]
fn a_canceled_job_leaves_nothing_behind_within_a_second() {
    let store = store();
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch::new(directory.path(), &["--commit-every", "0"]).with(&store.environment(User::All));
    let service = launch.start();
    let id = service.submit("/v1/prune", &request("out"));
    service.wait(&id, |_| keys_below(&store, "out/_scores.parquet.parts/").len() > 2);
    let began = Instant::now();
    let (status, _) = service.call(reqwest::Method::POST, &format!("/v1/jobs/{id}/cancel"), &[], None);
    assert_eq!(status, 202);
    service.wait_ended(&id, "canceled");
    println!("canceled after {:?}", began.elapsed());
    assert_eq!(keys_below(&store, "out/"), Vec::<String>::new());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(keys_below(&store, "out/"), Vec::<String>::new(), "nothing comes later");
}
