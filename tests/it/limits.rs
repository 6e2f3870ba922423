//! What a service and the command take on at most, and what nobody may reach through them.

use crate::service_fixture::{Service, id, selection};
use crate::support::measured::measured;
use crate::support::web::Web;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// More content than is free, all the same.
const BOMB: usize = 400 << 20;
/// Of the whole process, model and curvature included.
const MOST_MEMORY: u64 = 400 << 20;

fn records(bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let record = [b">a\n".as_slice(), &[b'A'; 500], b"\n"].concat();
    std::iter::repeat_n(record.clone(), bytes / record.len())
}

fn score(input: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    command.args(["score", input, "--threads", "1", "--model", "rna-nano", "--sample", "50", "-o"]);
    command.arg(folder.join("scores.tsv"));
    command
}

#[test]
fn what_inflates_without_bound_is_bad_input_within_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bombs = [folder.path().join("bomb.fa.gz"), folder.path().join("bomb.fa.zst")];
    let mut gzip = GzEncoder::new(std::fs::File::create(&bombs[0]).unwrap(), Compression::best());
    let mut zstd = zstd::stream::write::Encoder::new(std::fs::File::create(&bombs[1]).unwrap(), 1).unwrap();
    for record in records(BOMB) {
        gzip.write_all(&record).unwrap();
        zstd.write_all(&record).unwrap();
    }
    gzip.finish().unwrap();
    zstd.finish().unwrap();
    for bomb in &bombs {
        let bomb = bomb.to_str().unwrap();
        let (status, said, most) = measured(&mut score(bomb, folder.path()));
        assert_eq!(status, Some(65), "{said}");
        assert!(said.contains(bomb) && said.contains("250-fold"), "{said}");
        assert!(most < MOST_MEMORY, "{bomb}: {most} bytes");
        println!("{bomb}: refused within {} MiB", most >> 20);
    }
}

#[test]
fn web_inputs_are_read_and_their_redirects_lead_to_no_private_address() {
    let folder = tempfile::tempdir().unwrap();
    let web = Web::start(b">a\nACGUACGUACGUACGUACGU\n>b\nGGGCAAAAGCCCACGUAAGUU\n");
    for path in ["/rna.fa", "/moved"] {
        let run = score(&web.url(path), folder.path()).output().unwrap();
        assert!(run.status.success(), "{path}: {}", String::from_utf8_lossy(&run.stderr));
    }
    let (status, said, _) = measured(&mut score(&web.url("/away"), folder.path()));
    assert_eq!(status, Some(74), "{said}");
    assert!(said.contains("private address"), "{said}");
    let asked = web.asked.lock().unwrap();
    assert!(!asked.iter().any(|request| request.contains("127.0.0.2")), "{asked:#?}");
}

#[test]
fn a_service_reads_from_the_web_hosts_that_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let web = Web::start(b">a\nACGUACGUACGUACGUACGU\n>b\nGGGCAAAAGCCCACGUAAGUU\n");
    let (host, folder) = (web.url(""), directory.path().join("out"));
    std::fs::create_dir(&folder).unwrap();
    let flags = ["--allow", &host, "--allow", folder.to_str().unwrap()];
    let service = Service::start_real(&directory.path().join("jobs"), &flags);
    service.wait_ready();
    let body =
        |input: &str| json!({"inputs": [input], "output": folder.join("scores.tsv"), "model": "rna-nano"});
    let done = service.post_with("/v1/score", &body(&web.url("/rna.fa")), &[("prefer", "wait=60")]);
    assert_eq!(done.json()["state"], "complete", "{}", done.text);
    let other = format!("http://127.0.0.3:{}/rna.fa", web.port);
    assert_eq!(service.post("/v1/score", &body(&other)).problem(), (403, "forbidden".to_string()));
    let many = Service::start_real(
        &directory.path().join("more"),
        &["--allow", directory.path().to_str().unwrap(), "--max-inputs", "1"],
    );
    for name in ["a.fa", "b.fa"] {
        std::fs::write(folder.join(name), ">a\nACGU\n").unwrap();
    }
    let answer = many.post("/v1/score", &body(&format!("{}/*.fa", folder.display())));
    assert_eq!(answer.problem(), (422, "bad_input".to_string()));
    assert!(answer.text.contains("at most 1"), "{}", answer.text);
}

#[test]
fn a_request_that_does_not_come_to_its_end_is_given_up() {
    let (service, _directory) = Service::start(&["--request-timeout", "1"]);
    let mut connection = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/select HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
}

fn line(token: &str, scope: &str) -> String {
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest} {scope}\n")
}

#[test]
fn each_token_touches_and_sees_its_own_prefixes_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = [
        line("alice", "read=s3://b/scores.parquet write=s3://b/alice/"),
        line("bob", "read=s3://b/scores.parquet write=s3://b/bob/"),
        line("operator", ""),
    ];
    std::fs::write(file.path(), lines.concat()).unwrap();
    let (service, _directory) = Service::start(&["--token-file", file.path().to_str().unwrap()]);
    let send = |token: &str, method: &str, path: &str, body: Option<&str>| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "the same for all"),
        ];
        let body = body.map(|output| selection(output).to_string());
        service.send(method, path, &headers, body)
    };
    let job = id(&send("alice", "POST", "/v1/select", Some("alice/out")));
    let path = format!("/v1/jobs/{job}");
    for (token, status) in [("alice", 200), ("operator", 200), ("bob", 404)] {
        assert_eq!(send(token, "GET", &path, None).status, status, "{token}");
        assert_eq!(send(token, "GET", &format!("{path}/events"), None).status, status, "{token}");
        let listed = send(token, "GET", "/v1/jobs", None).json();
        assert_eq!(listed["jobs"].as_array().unwrap().len(), usize::from(status == 200), "{token}");
    }
    assert_eq!(send("bob", "POST", &format!("{path}/cancel"), None).status, 404);
    for output in ["alice/out", "bobby", "out"] {
        let refused = send("bob", "POST", "/v1/select", Some(output));
        assert_eq!(refused.problem(), (403, "forbidden".to_string()), "{output}");
        assert!(!refused.text.contains("s3://b/bob/"), "{}", refused.text);
    }
    // a key is its client's own
    assert_ne!(id(&send("bob", "POST", "/v1/select", Some("bob/out"))), job);
}

#[test]
fn a_job_reads_no_more_than_its_token_may_whatever_its_scores_name() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    for folder in ["mine", "theirs"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join("rna.fa"), ">a\nACGUACGUACGUACGUACGU\n>b\nGGGCAAAAGCCCACG\n")
            .unwrap();
    }
    let mine = root.join("mine");
    // scores that name sequences which their reader may not read
    let scored = Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .args(["score", root.join("theirs/rna.fa").to_str().unwrap(), "--model", "rna-nano", "-o"])
        .arg(mine.join("scores.tsv"))
        .output()
        .unwrap();
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stderr));
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, line("t", &format!("write={}", mine.display()))).unwrap();
    let flags = ["--allow", root.to_str().unwrap(), "--token-file", tokens.to_str().unwrap()];
    let service = Service::start_real(&directory.path().join("jobs"), &flags);
    let headers =
        [("authorization", "Bearer t"), ("content-type", "application/json"), ("prefer", "wait=60")];
    let body = json!({"scores": [mine.join("scores.tsv")], "output": mine.join("out"), "keep": "1"});
    let answer = service.send("POST", "/v1/select", &headers, Some(body.to_string())).json();
    assert_eq!(
        (&answer["state"], &answer["error"]["code"]),
        (&json!("failed"), &json!("forbidden")),
        "{answer}"
    );
}
