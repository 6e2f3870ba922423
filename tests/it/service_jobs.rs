//! Real jobs through the real program on a free port: the same bytes as the command gives, and every refusal by its name.

use crate::reference::fixture;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

struct Server {
    process: Child,
    url: String,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// What an HTTP call gave.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    fn start(more: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let fasta: String = (0..40)
            .map(|i| format!(">r{i}\n{}\n", "ACGUUGCAAGGCUC".repeat(1 + i % 5).split_at(10 + i % 4).0))
            .collect();
        fs::write(folder.path().join("rna.fa"), fasta).unwrap();
        let (process, url) = launch(folder.path(), more);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Server { process, url, folder, runtime }
    }

    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.url) = launch(self.folder.path(), &[]);
    }

    fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        self.runtime.block_on(async {
            let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.url));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.body(body);
            }
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, body: response.text().await.unwrap() }
        })
    }

    fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None)
    }

    fn post(&self, path: &str, body: &Value, prefer: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("prefer", prefer)];
        self.call(Method::POST, path, &headers, Some(body.to_string()))
    }

    fn prune(&self, out: &str) -> Value {
        let at = |name: &str| self.folder.path().join(name);
        json!({"inputs": [at("rna.fa")], "output": at(out), "keep": "25%", "mask_passes": 2,
            "model": fixture("rna_fm/RNA-FM_tiny.pth")})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(folder: &Path, more: &[&str]) -> (Child, String) {
    let fixtures = fixture("rna_fm");
    let mut process = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join("state"))
        .arg("--allow")
        .arg(folder)
        .arg("--allow")
        .arg(fixtures)
        .args(more)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let line =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on"))).unwrap().unwrap();
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let url = line.split("listening on ").nth(1).unwrap().trim().to_string();
    (process, url)
}

#[test]
fn a_prune_over_http_gives_the_coreset_of_the_command_and_is_found_again() {
    let mut server = Server::start(&[]);
    let done = server.post("/v1/prune", &server.prune("out"), "wait=60");
    assert_eq!(done.status, 200, "{}", done.body);
    let job = done.json();
    assert_eq!(job["state"], "complete", "{job}");
    assert_eq!(job["result"]["select"]["kept"], 10);

    let at = |name: &str| server.folder.path().join(name);
    let by_command = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["prune", "--keep", "25%", "--mask-passes", "2", "-o"])
        .arg(at("local"))
        .arg("--model")
        .arg(fixture("rna_fm/RNA-FM_tiny.pth"))
        .arg(at("rna.fa"))
        .output()
        .unwrap();
    assert!(by_command.status.success(), "{}", String::from_utf8_lossy(&by_command.stderr));
    for name in ["coreset.fa.gz", "scores.parquet", "selected.tsv"] {
        assert_eq!(
            fs::read(at("local").join(name)).unwrap(),
            fs::read(at("out").join(name)).unwrap(),
            "{name}"
        );
    }

    let again = server.post("/v1/prune", &server.prune("out"), "");
    assert_eq!(again.json()["id"], job["id"], "the same request over the same data is the same job");
    server.restart();
    let id = job["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/jobs/{id}")).json()["state"], "complete");
    let listed = server.get("/v1/jobs").json();
    assert_eq!(listed["jobs"][0]["id"], job["id"]);
    let events = server.get(&format!("/v1/jobs/{id}/events"));
    assert!(
        events.header("content-type").starts_with("text/event-stream") && events.body.contains("complete")
    );
    let cancel = server.call(Method::POST, &format!("/v1/jobs/{id}/cancel"), &[], None);
    assert_eq!(
        (cancel.status, cancel.json()["code"].as_str().unwrap().to_string()),
        (409, "job_state".into())
    );
}

#[test]
fn the_command_line_submits_follows_and_reports_through_a_server() {
    let server = Server::start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .current_dir(server.folder.path())
        .args(["prune", "rna.fa", "--keep", "5", "-o", "remote", "--mask-passes", "1", "--json", "--model"])
        .arg(fixture("rna_fm/RNA-FM_tiny.pth"))
        .args(["--server", &server.url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["select"]["kept"], 5);
    assert!(server.folder.path().join("remote/manifest.json").exists());

    let nowhere = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["jobs", "list", "--server", &server.url, "--json"])
        .output()
        .unwrap();
    let jobs: Value = serde_json::from_slice(&nowhere.stdout).unwrap();
    assert_eq!(jobs.as_array().unwrap().len(), 1);
}

#[test]
fn wrong_requests_get_their_own_problem_document() {
    let server = Server::start(&["--max-body", "4000"]);
    let with = |field: &str, value: Value| {
        let mut body = server.prune("out");
        body[field] = value;
        body.to_string()
    };
    let json = [("content-type", "application/json")];
    let table = [
        (Method::POST, "/v1/prune", "{\"inputs\": [".to_string(), 400, "malformed_json"),
        (Method::POST, "/v1/prune", with("colour", json!("red")), 422, "invalid_request"),
        (Method::POST, "/v1/prune", with("mask_passes", json!(8)), 422, "invalid_request"),
        (Method::POST, "/v1/prune", with("mask_passes", json!("two")), 422, "invalid_request"),
        (Method::POST, "/v1/prune", with("keep", json!("ten")), 422, "invalid_request"),
        (Method::POST, "/v1/prune", with("inputs", json!(["/etc/passwd"])), 403, "forbidden"),
        (Method::POST, "/v1/prune", with("output", json!("x".repeat(5000))), 413, "body_too_large"),
        (Method::GET, "/v1/jobs/prune-000000000000000000000000", String::new(), 404, "job_not_found"),
        (Method::GET, "/v1/nothing", String::new(), 404, "not_found"),
        (Method::DELETE, "/v1/prune", String::new(), 405, "method_not_allowed"),
    ];
    for (method, path, body, status, code) in table {
        let answer = server.call(method.clone(), path, &json, (!body.is_empty()).then_some(body.clone()));
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!((problem["code"].as_str().unwrap(), &problem["status"]), (code, &json!(status)));
    }
    let plain = server.call(Method::POST, "/v1/prune", &[("content-type", "text/plain")], Some("{}".into()));
    assert_eq!((plain.status, plain.json()["code"].as_str().unwrap()), (415, "unsupported_media_type"));

    let missing = server.folder.path().join("missing.fa");
    let answer =
        server.post("/v1/prune", &serde_json::from_str(&with("inputs", json!([missing]))).unwrap(), "");
    assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (422, "input_not_found"));
}

#[test]
fn idempotency_keys_and_tokens_are_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "sha256:930bbdc51b6aed5c2a5678fd6e28dee7a05e8a4b643cfc0b4427c3efb86c0d94\n").unwrap();
    let server = Server::start(&["--token-file", tokens.to_str().unwrap()]);
    let call = |token: &str, key: &str, out: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &authorization),
            ("idempotency-key", key),
        ];
        server.call(Method::POST, "/v1/prune", &headers, Some(server.prune(out).to_string()))
    };
    for token in ["", "secret-tokem"] {
        let answer = call(token, "\"k0\"", "out");
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let first = call("secret-token", "\"k1\"", "out");
    assert!(first.status == 202 && first.header("location").starts_with("/v1/jobs/"), "{}", first.body);
    assert!(!first.header("retry-after").is_empty());
    assert_eq!(call("secret-token", "\"k1\"", "out").json()["id"], first.json()["id"]);
    let other = call("secret-token", "\"k1\"", "other");
    assert_eq!((other.status, other.json()["code"].as_str().unwrap()), (422, "idempotency_conflict"));
}

#[test]
fn health_models_metrics_and_docs_are_served_without_anything_from_outside() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/healthz").status, 200);
    let ready = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        server.get("/readyz").status == 200
    });
    assert!(ready, "{}", server.get("/readyz").body);
    let models = server.get("/v1/models").json();
    let names: Vec<&str> =
        models["models"].as_array().unwrap().iter().filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, ["rna-nano", "protein-nano", "rna-hairpins"]);
    assert!(server.get("/metrics").body.contains("bioprune_"));
    let page = server.get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("swagger-ui") && !page.body.contains("https://"), "{}", page.body);
    assert_eq!(server.get("/docs/swagger-ui-bundle.js").status, 200);
}
