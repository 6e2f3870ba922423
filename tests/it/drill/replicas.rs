//! Two services that share a bucket: one works on a job, and the other takes over when it is killed.

use super::{assert_same, clean_in, keys_below, request, store};
use crate::support::s3::User;
use crate::support::service::Launch;

#[test]
fn of_two_services_one_works_on_a_job_and_the_other_takes_over_when_it_is_killed() {
    let store = store();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let launch = |index: usize| {
        let flags = ["--commit-every", "0", "--lease", "2", "-vv"];
        Launch::new(directories[index].path(), &flags).with(&store.environment(User::All))
    };
    let (first, second) = (launch(0).start(), launch(1).start());
    let id = first.submit("/v1/prune", &request("out"));
    first.wait(&id, |job| job["progress"]["stage"] == "score");
    assert_eq!(second.submit("/v1/prune", &request("out")), id, "the same job on both");
    second.wait(&id, |_| second.said().iter().any(|line| line.contains("works on this output")));
    assert!(second.job(&id)["progress"].is_null(), "one alone works on it");
    first.wait(&id, |_| !keys_below(&store, "out/_scores.parquet.parts/").is_empty());
    let first_said = first.kill();
    assert!(!first_said.iter().any(|line| line.contains("complete")), "{first_said:#?}");

    let job = second.wait_ended(&id, "complete");
    let said = second.said();
    assert!(said.iter().any(|line| line.contains("has lapsed and is taken over")), "{said:#?}");
    assert!(job["result"]["score"]["reused"].as_u64() > Some(0), "it goes on from what the first committed");
    assert_same(&store, "out", &clean_in(&store));

    // the first one finds its job complete, and does not do it again
    let manifest = store.get(super::BUCKET, "out/manifest.json");
    let first = launch(0).start();
    let job = first.wait_ended(&id, "complete");
    assert_eq!(job["result"]["select"]["kept"], super::RECORDS / 10);
    assert!(first.said().iter().any(|line| line.contains("was complete already")), "{:#?}", first.said());
    assert_eq!(store.get(super::BUCKET, "out/manifest.json"), manifest);
    assert!(!store.keys(super::BUCKET).iter().any(|key| key.ends_with(".lease")));
}
