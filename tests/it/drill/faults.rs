//! A store that fails: a share of its requests, for a while altogether, or by changing a source under a job.

use super::proxy::{Fault, Proxy};
use super::{BUCKET, INPUT, assert_same, clean_in, keys_below, prune, request, store};
use crate::support::moments::rounds;
use crate::support::s3::User;
use crate::support::service::Launch;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn start(port: u16, store: &crate::support::s3::S3Server) -> Child {
    prune(&format!("s3://{BUCKET}/{INPUT}"), &format!("s3://{BUCKET}/out/"))
        .envs(store.environment_behind(port, User::All))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_store_that_fails_a_share_of_its_requests_in_every_way_changes_no_byte() {
    let store = store();
    let clean = clean_in(&store);
    let (every, stalls) = (7, 1);
    let proxy = Proxy::start(store.port(), every, stalls);
    for _ in 0..rounds(1) {
        let run = start(proxy.port, &store).wait_with_output().unwrap();
        assert!(run.status.success(), "{:?}\n{}", proxy.told(), String::from_utf8_lossy(&run.stderr));
        assert_same(&store, "out", &clean);
        // the next round begins from nothing
        let keys = keys_below(&store, "out/");
        keys.iter().for_each(|key| store.delete(BUCKET, &format!("out/{key}")));
    }
    let (requests, told) = proxy.told();
    println!("{requests} requests, failed: {told:?}");
    for fault in [Fault::InternalError, Fault::SlowDown, Fault::Cut, Fault::Truncated, Fault::Stall] {
        assert!(told.contains_key(&fault), "{fault:?} never came: {requests} requests, {told:?}");
    }
}

/// Waits until a run has committed some of its scores.
fn wait_for_parts(run: &mut Child, store: &crate::support::s3::S3Server) {
    while keys_below(store, "out/_scores.parquet.parts/").len() < 2 {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it committed anything");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_store_that_dies_and_comes_back_under_a_job_changes_no_byte() {
    let mut store = store();
    let clean = clean_in(&store);
    let mut run = start(store.port(), &store);
    wait_for_parts(&mut run, &store);
    store.restart();
    let run = run.wait_with_output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_same(&store, "out", &clean);
}

#[test]
fn a_source_that_changes_under_a_job_fails_it_by_name() {
    let store = store();
    let mut run = start(store.port(), &store);
    wait_for_parts(&mut run, &store);
    let changed = [super::input(), b">one_more\nACGUACGUACGU\n".to_vec()].concat();
    store.put(BUCKET, INPUT, &changed);
    let run = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(74), "{said}");
    assert!(said.contains(&format!("s3://{BUCKET}/{INPUT} changed while it was in use")), "{said}");
    assert!(store.get(BUCKET, "out/manifest.json").is_none());
}

#[test]
fn a_cancel_does_not_wait_for_a_store_that_stalls() {
    let store = store();
    let proxy = Proxy::start(store.port(), u64::MAX, 0);
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch::new(directory.path(), &["--commit-every", "0"]);
    let service = launch.with(&store.environment_behind(proxy.port, User::All)).start();
    // it comes to its writes soon
    let mut quick = request("out");
    (quick["mask_passes"], quick["sample"]) = (1.into(), "4".into());
    // a read that begins the job, and writes that end its steps
    for stalled in [
        format!("GET /{BUCKET}/{INPUT}"),
        format!("PUT /{BUCKET}/out/curvature.safetensors"),
        format!("PUT /{BUCKET}/out/_scores.parquet.parts/"),
    ] {
        proxy.hold(stalled.clone());
        let id = service.submit("/v1/prune", &quick);
        service.wait(&id, |_| proxy.held() > 0);
        let began = Instant::now();
        let (status, _) = service.call(reqwest::Method::POST, &format!("/v1/jobs/{id}/cancel"), &[], None);
        assert_eq!(status, 202);
        service.wait_ended(&id, "canceled");
        let took = began.elapsed();
        println!("{stalled}: canceled after {took:?}");
        assert!(took < Duration::from_secs(2), "{stalled}: {took:?}");
        assert_eq!(keys_below(&store, "out/"), Vec::<String>::new(), "{stalled}");
    }
}
