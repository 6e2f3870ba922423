//! Many clients at once: they submit, look and cancel while jobs compute, and meet no error but a full queue.
//!
//! `BIOPRUNE_LOAD` has 200 of them do so for so many seconds (`just load`); without it a few for a moment.

use crate::example;
use crate::support::moments::Moments;
use crate::support::service::Launch;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A client's pause between two looks; the service itself asks for a second.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks at a job before it is canceled, at most.
const LOOKS: u64 = 20;

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// Answers by request and status
    answers: BTreeMap<(&'static str, u16), u64>,
    /// How long each look at a job took, and whether the job was running
    looks: Vec<(Duration, bool)>,
    /// Answers that nobody should get
    errors: Vec<String>,
}

struct Caller<'a> {
    http: Client,
    url: &'a str,
    folder: &'a Path,
    seen: Seen,
}

impl Caller<'_> {
    /// Sends a request of that name; gives the status, and the body where it is JSON.
    async fn call(
        &mut self,
        name: &'static str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default()),
            Err(error) => {
                self.seen.errors.push(format!("{name}: {error:?}"));
                (0, Value::Null)
            }
        };
        *self.seen.answers.entry((name, answer.0)).or_default() += 1;
        let expected = match name {
            "submit" => &[200, 202, 429][..],
            // it may have come to its end before
            "cancel" => &[200, 202, 409],
            _ => &[200],
        };
        if !expected.contains(&answer.0) {
            self.seen.errors.push(format!("{name}: {answer:?}"));
        }
        answer
    }

    /// Asks for jobs of its own, follows them and cancels some, until `end`.
    async fn work(mut self, number: u64, end: Instant) -> Seen {
        let mut moments = Moments::of(number + 1);
        let mut job = 0;
        while Instant::now() < end {
            job += 1;
            let output = self.folder.join(format!("out-{number}-{job}"));
            let body = json!({
                "inputs": [self.folder.join("short-60.fa")], "output": format!("{}/", output.display()), "keep": "10%",
                "sample": "30", "threads": 1, "seed": number * 100_000 + job
            });
            let (status, accepted) = self.call("submit", Method::POST, "/v1/prune", Some(body)).await;
            sleep(PAUSE + moments.within(PAUSE)).await;
            let Some(id) = accepted["id"].as_str().filter(|_| status < 300) else { continue };
            let path = format!("/v1/jobs/{id}");
            let until = moments.below(LOOKS);
            for look in 0.. {
                let began = Instant::now();
                let (_, shown) = self.call("look", Method::GET, &path, None).await;
                self.seen.looks.push((began.elapsed(), shown["state"] == "running"));
                if !matches!(shown["state"].as_str(), Some("queued" | "running")) || Instant::now() > end {
                    break;
                }
                if look == until && !number.is_multiple_of(4) {
                    self.call("cancel", Method::POST, &format!("{path}/cancel"), None).await;
                }
                sleep(PAUSE + moments.within(PAUSE)).await;
            }
        }
        self.seen
    }
}

/// How late this runtime is, which is in each of its latencies, whatever the service does.
async fn lateness(end: Instant) -> Vec<Duration> {
    const STEP: Duration = Duration::from_millis(10);
    let mut late = Vec::new();
    while late.is_empty() || Instant::now() < end {
        let began = Instant::now();
        sleep(STEP).await;
        late.push(began.elapsed().saturating_sub(STEP));
    }
    late
}

#[test]
fn many_clients_at_once_meet_no_error_but_a_full_queue() {
    let seconds = std::env::var("BIOPRUNE_LOAD").ok().map(|text| text.parse().expect("a number of seconds"));
    let (clients, span) =
        seconds.map_or((20, Duration::from_secs(3)), |span| (200, Duration::from_secs(span)));
    let directory = tempfile::tempdir().unwrap();
    example::write_short(60, directory.path());
    let flags = ["--allow", directory.path().to_str().unwrap()];
    let service = Launch::new(&directory.path().join("jobs"), &flags).start();
    while service.get("/readyz").0 != 200 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // the service closes what is idle for 5 seconds, which clients that come late themselves would notice too late
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let end = Instant::now() + span;
    let callers = (0..clients).map(|number| {
        let (url, folder) = (service.url.as_str(), directory.path());
        Caller { http: http.clone(), url, folder, seen: Seen::default() }.work(number, end)
    });
    let (seen, mut late) =
        runtime.block_on(futures::future::join(futures::future::join_all(callers), lateness(end)));
    let mut all = Seen::default();
    for seen in seen {
        seen.answers.into_iter().for_each(|(kind, count)| *all.answers.entry(kind).or_default() += count);
        all.looks.extend(seen.looks);
        all.errors.extend(seen.errors);
    }
    println!("{clients} clients, {span:?}: {:?}", all.answers);
    late.sort();
    println!(
        "the clients come late themselves: p50 {:?}, p99 {:?}",
        late[late.len() / 2],
        late[late.len() * 99 / 100]
    );
    all.looks.sort();
    let share = |part: usize| all.looks[(all.looks.len() * part / 1000).min(all.looks.len() - 1)].0;
    println!(
        "{} looks at a job, {} while it ran: p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}",
        all.looks.len(),
        all.looks.iter().filter(|(_, ran)| *ran).count(),
        share(500),
        share(900),
        share(990),
        share(999)
    );
    assert!(all.errors.is_empty(), "{:#?}", &all.errors[..all.errors.len().min(10)]);
    assert!(all.looks.iter().any(|(_, ran)| *ran), "nothing was computed meanwhile");
    let said = service.said();
    assert!(
        !said.iter().any(|line| line.contains("error: internal") || line.contains("panicked")),
        "{said:#?}"
    );
    let listed: Value = serde_json::from_str(&service.get("/v1/jobs?state=failed").1).unwrap();
    assert_eq!(listed["jobs"], json!([]), "no job failed");
}
