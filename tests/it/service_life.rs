//! The service over time: events, restarts, its own documentation, its client, and a whole job.

use crate::service_fixture::{PATIENCE, Service, id, selection};
use crate::support::told::Told;
use bioprune::client::Client;
use bioprune::error::Code;
use bioprune::jobs::{JobKind, JobRequest, JobResult, JobState};
use bioprune::pipeline::CancelToken;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The `event` and `data` of each event of a stream that ended, and the last id.
fn events(text: &str) -> (Vec<(String, Value)>, String) {
    let mut told = Vec::new();
    let mut last = String::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':')) {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let Some(id) = field("id:") {
            assert_ne!(id, last, "each state has an id of its own");
            last = id.to_string();
        }
        let data = serde_json::from_str(field("data:").unwrap()).unwrap();
        told.push((field("event:").unwrap().to_string(), data));
    }
    (told, last)
}

#[test]
fn events_tell_states_and_progress_until_the_job_ends() {
    let (service, _directory) = Service::start(&[]);
    let blocking = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&blocking, "running");
    let job = id(&service.post("/v1/select", &selection("out")));
    let text = std::thread::scope(|scope| {
        let followed = scope.spawn(|| {
            let (service, job) = (&service.url, &job);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let url = format!("{service}/v1/jobs/{job}/events");
                let response = reqwest::get(url).await.unwrap();
                assert_eq!(response.headers()["content-type"], "text/event-stream");
                tokio::time::timeout(PATIENCE, response.text()).await.unwrap().unwrap()
            })
        });
        service.send("POST", &format!("/v1/jobs/{blocking}/cancel"), &[], None);
        followed.join().unwrap()
    });
    let (told, _) = events(&text);
    let (kind, end) = told.last().unwrap();
    assert_eq!(
        (kind.as_str(), &end["state"], &end["result"]["kept"]),
        ("state", &json!("complete"), &json!(1))
    );
    for (kind, data) in &told {
        match kind.as_str() {
            "state" => assert_eq!(data["id"], job.as_str()),
            "progress" => assert_eq!((&data["stage"], &data["eta_seconds"]), (&json!("select"), &json!(1.0))),
            other => panic!("event {other}"),
        }
    }
}

#[test]
fn the_events_of_a_job_that_has_ended_are_its_end() {
    let (service, _directory) = Service::start(&[]);
    let job = id(&service.post("/v1/select", &selection("fail")));
    service.wait_for(&job, "failed");
    let (told, _) = events(&service.get(&format!("/v1/jobs/{job}/events")).text);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1["error"]["code"], "bad_input");
}

#[test]
fn a_client_that_comes_back_is_not_told_again_what_it_knows() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start_in(directory.path(), &[]);
    let job = id(&service.post("/v1/select", &selection("out")));
    service.wait_for(&job, "complete");
    let path = format!("/v1/jobs/{job}/events");
    let (_, last) = events(&service.get(&path).text);
    drop(service);
    let service = Service::start_in(directory.path(), &[]);
    let back = service.send("GET", &path, &[("Last-Event-ID", last.as_str())], None);
    assert_eq!((back.status, back.text.as_str()), (204, ""), "nothing more will come");
    let of_another = service.send("GET", &path, &[("Last-Event-ID", "0123456789abcdef")], None);
    assert_eq!(events(&of_another.text).0.len(), 1);
}

#[test]
fn a_restart_finds_all_jobs_and_runs_the_one_that_was_running() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start_in(directory.path(), &[]);
    let done = id(&service.post("/v1/select", &selection("out")));
    let done_before = service.wait_for(&done, "complete");
    let running = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&running, "running");
    let waiting = id(&service.post("/v1/select", &selection("next")));
    service.stop();
    let service = Service::start_in(directory.path(), &[]);
    assert_eq!(service.wait_for(&done, "complete"), done_before);
    service.wait_for(&running, "running");
    service.send("POST", &format!("/v1/jobs/{running}/cancel"), &[], None);
    service.wait_for(&waiting, "complete");
}

#[test]
fn stopping_ends_events_and_waits() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start_in(directory.path(), &[]);
    let running = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&running, "running");
    let url = service.url.clone();
    let follower = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let response = reqwest::get(format!("{url}/v1/jobs/{running}/events")).await.unwrap();
            tokio::time::timeout(PATIENCE, response.text()).await.unwrap().unwrap()
        })
    });
    // until the follower is connected, else there is nothing to end
    while !service.get("/metrics").text.contains("route=\"/v1/jobs/{id}/events\"") {
        std::thread::sleep(Duration::from_millis(10));
    }
    service.stop();
    assert_eq!(events(&follower.join().unwrap()).0[0].1["state"], "running");
}

#[test]
fn the_served_document_is_the_committed_one() {
    let (service, _directory) = Service::start(&[]);
    let answer = service.get("/openapi.json");
    assert_eq!(answer.header("content-type"), "application/json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        answer.text == committed,
        "openapi/openapi.json is not what the service serves; regenerate it with `cargo run -- openapi > openapi/openapi.json`"
    );
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

#[test]
fn every_documented_operation_is_there_and_every_reference_leads_somewhere() {
    let (service, _directory) = Service::start(&[]);
    let paths = service.document["paths"].as_object().unwrap();
    assert!(paths.len() >= 14);
    for (template, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let path = template.replace("{id}", "nonsense").replace("{name}", "nonsense");
            let answer = service.send(&method.to_uppercase(), &path, &[], None);
            assert_ne!(answer.status, 405, "{method} {path}");
            if answer.status == 404 {
                assert_ne!(
                    answer.json()["detail"].as_str().unwrap().split(": ").nth(1),
                    Some("there is nothing here")
                );
            }
        }
    }
    for kind in JobKind::ALL {
        let name = format!("{}Request", kind.name()[..1].to_uppercase() + &kind.name()[1..]);
        let schema = &service.document["components"]["schemas"][&name];
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(schema["properties"].as_object().unwrap().len() > 5, "{name}");
    }
    let text = service.document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(service.document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn documented_defaults_are_those_that_a_request_gets() {
    let (service, _directory) = Service::start(&[]);
    let job = service.post("/v1/select", &selection("out")).json();
    let properties =
        service.document["components"]["schemas"]["SelectRequest"]["properties"].as_object().unwrap();
    let mut defaults = 0;
    for (field, schema) in properties {
        if let Some(default) = schema.get("default") {
            assert_eq!(&job["request"][field], default, "{field}");
            defaults += 1;
        }
    }
    assert!(defaults >= 3);
}

#[test]
fn the_documentation_page_needs_nothing_from_elsewhere() {
    let (service, _directory) = Service::start(&[]);
    assert_eq!(service.get("/docs").header("location"), "docs/");
    let page = service.get("/docs/");
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
    let files: Vec<_> = page
        .text
        .split(['"', '\''])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"))
        .map(|file| file.trim_start_matches("./").to_string())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in &files {
        let answer = service.get(&format!("/docs/{file}"));
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.text.is_empty(), "{file}");
    }
    let initializer = service.get("/docs/swagger-initializer.js").text;
    assert!(initializer.contains("../openapi.json") && !initializer.contains("petstore"), "{initializer}");
}

fn request(output: &str) -> JobRequest {
    JobRequest::from_json(JobKind::Select, selection(output)).unwrap()
}

#[test]
fn the_client_follows_a_job_to_its_result_or_its_error() {
    let (service, _directory) = Service::start(&[]);
    let client = Client::new(&service.url, None).unwrap();
    let job = client.submit(&request("out")).unwrap();
    let result = client.follow(&job.id, &(), &CancelToken::default()).unwrap();
    assert!(matches!(result, JobResult::Select(summary) if summary.kept == 1));
    let failed = client.submit(&request("fail")).unwrap();
    let error = client.follow(&failed.id, &(), &CancelToken::default()).unwrap_err();
    assert_eq!((error.code, error.code.info().exit), (Code::BadInput, 65));
    assert!(error.message.contains("record 3"), "{error}");
    let listed = client.list(None, 1000).unwrap();
    assert_eq!(listed.iter().map(|job| &job.id).collect::<Vec<_>>(), [&failed.id, &job.id]);
    assert_eq!(client.list(Some(JobState::Complete), 1000).unwrap().len(), 1);
}

#[test]
fn a_client_that_is_interrupted_cancels_its_job() {
    let (service, _directory) = Service::start(&[]);
    let client = Client::new(&service.url, None).unwrap();
    let job = client.submit(&request("wait")).unwrap();
    let (cancel, told) = (CancelToken::default(), Told::default());
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| client.follow(&job.id, &told, &cancel));
        while told.0.lock().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        assert_eq!(follower.join().unwrap().unwrap_err().code, Code::Canceled);
    });
    assert_eq!(told.0.lock().unwrap()[0].total_records, Some(10));
    service.wait_for(job.id.as_str(), "canceled");
    assert_eq!(client.cancel(&job.id).unwrap_err().code, Code::JobState);
}

#[test]
fn the_client_shows_its_token() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0\n")
        .unwrap();
    let (service, _directory) = Service::start(&["--token-file", file.path().to_str().unwrap()]);
    let error = Client::new(&service.url, None).unwrap().submit(&request("out")).unwrap_err();
    assert_eq!((error.code, error.code.info().exit), (Code::Unauthorized, 77));
    Client::new(&service.url, Some("s3cret")).unwrap().submit(&request("out")).unwrap();
}

#[test]
fn service_and_client_meet_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let flags = ["--unix-socket", socket.to_str().unwrap()];
    for _ in 0..2 {
        let service = Service::start_in(&directory.path().join("data"), &flags);
        assert_eq!(service.url, format!("unix://{}", socket.display()));
        let client = Client::new(&service.url, None).unwrap();
        let job = client.submit(&request("out")).unwrap();
        client.follow(&job.id, &(), &CancelToken::default()).unwrap();
        service.stop();
        assert!(!socket.exists(), "the socket goes with the service");
        // one that a killed service left
        std::os::unix::net::UnixListener::bind(&socket).unwrap();
    }
}

/// Hairpins whose arms and loops differ, so that their scores do.
fn fasta(records: usize) -> String {
    let arm = |index: usize, length: usize| -> String {
        (0..length).map(|at| ['A', 'C', 'G', 'U'][(index * 7 + at * (index % 5 + 1) + at / 3) % 4]).collect()
    };
    (0..records)
        .map(|index| {
            format!(">rna{index}\n{}GAAA{}\n", arm(index, 20 + index % 11), arm(index + 3, 18 + index % 7))
        })
        .collect()
}

#[test]
fn a_whole_prune_over_http_gives_the_bytes_of_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    std::fs::create_dir(&root).unwrap();
    let at = |name: &str| root.join(name).to_str().unwrap().to_string();
    std::fs::write(at("rna.fa"), fasta(40)).unwrap();
    let service = Service::start_real(&directory.path().join("jobs"), &["--allow", root.to_str().unwrap()]);
    service.wait_ready();
    let body = json!({"inputs": [at("rna.fa")], "output": at("served/"), "keep": "10%", "mask_passes": 2});
    let job = id(&service.post("/v1/prune", &body));
    let client = Client::new(&service.url, None).unwrap();
    let result = client.follow(&job.parse().unwrap(), &(), &CancelToken::default());
    let JobResult::Prune(summary) = result.unwrap() else { panic!("a prune gives a prune's summary") };
    assert_eq!((summary.select.pool, summary.select.kept), (40, 4));
    let shown = service.get(&format!("/v1/jobs/{job}")).json();
    for output in shown["outputs"].as_array().unwrap() {
        assert!(Path::new(output.as_str().unwrap()).is_file(), "{output}");
    }
    assert_cmd::Command::cargo_bin("bioprune")
        .unwrap()
        .args(["prune", &at("rna.fa"), "-o", &at("local"), "--keep", "10%", "--mask-passes", "2"])
        .assert()
        .success();
    for name in ["coreset.fa.gz", "selected.tsv", "scores.parquet", "curvature.safetensors"] {
        let read = |folder: &str| std::fs::read(root.join(folder).join(name)).unwrap();
        assert!(read("served") == read("local"), "{name}");
    }
}

#[test]
fn a_real_service_reads_nothing_outside_of_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(directory.path().join("secret.fa"), ">secret\nACGU\n").unwrap();
    std::os::unix::fs::symlink(directory.path().join("secret.fa"), root.join("link.fa")).unwrap();
    let service = Service::start_real(&directory.path().join("jobs"), &["--allow", root.to_str().unwrap()]);
    let root = root.to_str().unwrap();
    for input in [
        format!("{}/secret.fa", directory.path().display()),
        format!("{root}/link.fa"),
        format!("{root}/*.fa"),
        format!("{root}/"),
        format!("{root}/../secret.fa"),
        "s3://bucket/rna.fa".to_string(),
    ] {
        let body = json!({"inputs": [input], "output": format!("{root}/out/"), "keep": "1"});
        assert_eq!(service.post("/v1/prune", &body).problem(), (403, "forbidden".to_string()), "{input}");
    }
}
