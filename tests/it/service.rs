//! The REST service, over real HTTP: what each endpoint answers, to good requests and to bad ones.

use crate::service_fixture::{FakeEngine, Service, id, selection};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn a_request_creates_a_job_that_can_be_followed_to_its_result() {
    let (service, _directory) = Service::start(&[]);
    let accepted = service.post("/v1/select", &selection("out"));
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.header("location"), format!("/v1/jobs/{}", id(&accepted)));
    assert!(accepted.header("retry-after").parse::<u32>().unwrap() >= 1);
    let job = service.wait_for(&id(&accepted), "complete");
    assert_eq!(job["kind"], "select");
    assert_eq!(job["request"]["strata"], 50, "defaults are written out");
    assert_eq!(job["result"]["kept"], 1);
    assert_eq!(job["outputs"][4], "s3://b/out/manifest.json");
    assert!(job["finished"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_same_request_finds_its_job() {
    let (service, _directory) = Service::start(&[]);
    let first = service.post("/v1/select", &selection("out"));
    service.wait_for(&id(&first), "complete");
    let again = service.post("/v1/select", &selection("out"));
    assert_eq!((again.status, id(&again)), (200, id(&first)));
    let mut spelled_out = selection("out");
    spelled_out["strategy"] = json!("balanced");
    assert_eq!(id(&service.post("/v1/select", &spelled_out)), id(&first), "a default that is spelled out");
    service.engine.storage.put("s3://b/scores.parquet", "2");
    assert_ne!(id(&service.post("/v1/select", &selection("out"))), id(&first), "other data");
}

#[test]
fn a_client_may_wait_for_its_job() {
    let (service, _directory) = Service::start(&[]);
    let done = service.post_with("/v1/select", &selection("out"), &[("prefer", "wait=60")]);
    assert_eq!((done.status, done.json()["state"].as_str()), (200, Some("complete")));
    assert_eq!(done.header("preference-applied"), "wait=60");
    let waits = service.post_with("/v1/select", &selection("wait"), &[("prefer", "wait=0")]);
    assert_eq!((waits.status, waits.header("preference-applied")), (202, "wait=0"));
    let failed = [("prefer", "wait=60")];
    service.send("POST", &format!("/v1/jobs/{}/cancel", id(&waits)), &[], None);
    let failed = service.post_with("/v1/select", &selection("fail"), &failed);
    assert_eq!((failed.status, failed.json()["state"].as_str()), (200, Some("failed")));
    assert_eq!(failed.json()["error"]["code"], "bad_input");
}

#[test]
fn bad_bodies_are_refused_with_the_field_and_what_is_allowed() {
    let (service, _directory) = Service::start(&[]);
    let with = |field: &str, value: Value| {
        let mut body = selection("out");
        body[field] = value;
        body.to_string()
    };
    for (body, status, code, field) in [
        ("{\"scores\": [".to_string(), 400, "malformed_json", None),
        ("\u{0}".to_string(), 400, "malformed_json", None),
        (String::new(), 400, "malformed_json", None),
        ("[".repeat(100_000), 400, "malformed_json", None),
        ("[]".to_string(), 422, "invalid_request", None),
        ("null".to_string(), 422, "invalid_request", None),
        ("{}".to_string(), 422, "invalid_request", None),
        (with("inputs", json!(["s3://b/a.fa"])), 422, "invalid_request", Some("inputs")),
        (with("Keep", json!("1%")), 422, "invalid_request", Some("Keep")),
        (with("keep", json!(10)), 422, "invalid_request", Some("keep")),
        (with("keep", json!("0%")), 422, "invalid_request", Some("keep")),
        (with("scores", json!("s3://b/scores.parquet")), 422, "invalid_request", Some("scores")),
        (with("scores", json!([])), 422, "invalid_request", Some("scores")),
        (with("output", json!(null)), 422, "invalid_request", Some("output")),
        (with("output", json!("ftp://h/out/")), 422, "invalid_request", Some("output")),
        (with("strategy", json!("best")), 422, "invalid_request", Some("strategy")),
        (with("strategy", json!("random-matched")), 422, "invalid_request", Some("match")),
        (with("strata", json!(0)), 422, "invalid_request", Some("strata")),
        (with("strata", json!(1e12)), 422, "invalid_request", Some("strata")),
        (with("strata", json!(-1)), 422, "invalid_request", Some("strata")),
        (with("exclude_top", json!(1)), 422, "invalid_request", Some("exclude_top")),
        (with("seed", json!("x")), 422, "invalid_request", Some("seed")),
        (with("scores", json!(["s3://b/missing.parquet"])), 422, "input_not_found", None),
        (with("output", json!("/etc/cron.d/")), 403, "forbidden", Some("output")),
        (with("scores", json!(["out.parquet"])), 403, "forbidden", Some("scores")),
        (with("sequences", json!(["file:///etc/passwd"])), 403, "forbidden", Some("sequences")),
        (with("sequences", json!(["http://169.254.169.254/latest/"])), 403, "forbidden", Some("sequences")),
        (with("scores", json!(["s3://down/scores.parquet"])), 502, "storage_failed", None),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = service.send("POST", "/v1/select", &headers, Some(body.clone()));
        let shown: String = body.chars().take(200).collect();
        assert_eq!(answer.problem(), (status, code.to_string()), "{shown}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["field"].as_str(), field, "{shown}: {}", answer.text);
        if field.is_some() {
            let detail = problem["detail"].as_str().unwrap();
            let tells = ["allow", "expected", "need"].iter().any(|word| detail.contains(word));
            assert!(tells, "{shown}: what is allowed is missing in {detail:?}");
        }
    }
    assert_eq!(service.get("/v1/jobs").json()["jobs"], json!([]), "no bad request leaves a job behind");
}

#[test]
fn what_the_flags_refuse_is_refused_in_json_too() {
    let (service, _directory) = Service::start(&[]);
    for (field, value) in [
        ("mask_passes", json!(0)),
        ("mask_passes", json!(8)),
        ("mask_passes", json!(300)),
        ("max_batch_tokens", json!(0)),
        ("threads", json!(100_000)),
        ("sample", json!("0%")),
        ("damping", json!("-1")),
        ("objective", json!("causal")),
        ("output", json!("s3://b/scores.csv")),
        ("model", json!("no-such-model")),
    ] {
        let mut body = json!({"inputs": ["s3://b/rna.fa"], "output": "s3://b/scores.parquet"});
        body[field] = value.clone();
        let answer = service.post("/v1/score", &body);
        assert_eq!(answer.status, 422, "{field} {value}: {}", answer.text);
        assert_eq!(answer.json()["field"], field, "{value}: {}", answer.text);
    }
    let answer = service
        .post("/v1/score", &json!({"inputs": ["s3://b/a.fa"], "output": "s3://b/s.tsv", "mask_passes": 300}));
    assert!(answer.json()["detail"].as_str().unwrap().contains("from 1 to 7"), "{}", answer.text);
}

#[test]
fn bodies_of_another_kind_or_size_are_refused() {
    let (service, _directory) = Service::start(&["--max-body", "1000"]);
    let body = selection("out").to_string();
    for headers in [vec![], vec![("content-type", "text/plain")], vec![("content-type", "application/xml")]] {
        let answer = service.send("POST", "/v1/select", &headers, Some(body.clone()));
        assert_eq!(answer.problem(), (415, "unsupported_media_type".to_string()));
    }
    let json = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(service.send("POST", "/v1/select", &json, Some(body)).status, 202);
    let answer = service.send("POST", "/v1/select", &json, Some(" ".repeat(1001)));
    assert_eq!(answer.problem(), (413, "body_too_large".to_string()));
    assert!(answer.text.contains("1000"), "{}", answer.text);
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let (service, _directory) = Service::start(&[]);
    let job = "/v1/jobs/select-0123456789abcdef01234567";
    for (method, path, status, code) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v2/jobs", 404, "not_found"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("GET", "/docs/nothing.js", 404, "not_found"),
        ("GET", "/v1/models/none", 404, "not_found"),
        ("GET", job, 404, "job_not_found"),
        ("GET", "/v1/jobs/nonsense", 404, "job_not_found"),
        ("GET", "/v1/jobs/%2e%2e%2fetc", 404, "job_not_found"),
        ("GET", &format!("{job}/events"), 404, "job_not_found"),
        ("POST", &format!("{job}/cancel"), 404, "job_not_found"),
        ("GET", "/v1/jobs?limit=0", 422, "invalid_request"),
        ("GET", "/v1/jobs?state=done", 422, "invalid_request"),
        ("GET", "/v1/jobs?page=2", 422, "invalid_request"),
    ] {
        let answer = service.send(method, path, &[], None);
        assert_eq!(answer.problem(), (status, code.to_string()), "{method} {path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/prune", "POST"),
        ("DELETE", job, "GET"),
        ("PUT", "/v1/jobs", "GET"),
        ("GET", &format!("{job}/cancel"), "POST"),
        ("POST", "/healthz", "GET"),
    ] {
        let answer = service.send(method, path, &[], None);
        assert_eq!(answer.problem(), (405, "method_not_allowed".to_string()), "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[test]
fn jobs_are_canceled_while_they_wait_or_run_and_not_after() {
    let (service, _directory) = Service::start(&[]);
    let cancel = |id: &str| service.send("POST", &format!("/v1/jobs/{id}/cancel"), &[], None);
    let running = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&running, "running");
    let waiting = id(&service.post("/v1/select", &selection("out")));
    assert_eq!(cancel(&waiting).status, 200);
    let asked = cancel(&running);
    assert_eq!((asked.status, asked.json()["cancel_requested"].as_bool()), (202, Some(true)));
    service.wait_for(&running, "canceled");
    assert_eq!(cancel(&running).problem(), (409, "job_state".to_string()));
}

#[test]
fn a_full_queue_asks_clients_to_come_again() {
    let (service, _directory) = Service::start(&["--queue-length", "1"]);
    let running = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&running, "running");
    assert_eq!(service.post("/v1/select", &selection("next")).status, 202);
    assert_eq!(service.post("/v1/select", &selection("more")).problem(), (429, "queue_full".to_string()));
}

#[test]
fn a_key_leads_to_one_job_and_to_one_body() {
    let (service, _directory) = Service::start(&[]);
    let key = [("idempotency-key", "5f2c")];
    let first = service.post_with("/v1/select", &selection("out"), &key);
    service.engine.storage.put("s3://b/scores.parquet", "2");
    assert_eq!(id(&service.post_with("/v1/select", &selection("out"), &key)), id(&first));
    let other = service.post_with("/v1/select", &selection("more"), &key);
    assert_eq!(other.problem(), (422, "idempotency_conflict".to_string()));
    let long = "k".repeat(256);
    let refused = service.post_with("/v1/select", &selection("out"), &[("idempotency-key", &long)]);
    assert_eq!(refused.json()["field"], "Idempotency-Key");
}

#[test]
fn lists_have_pages_and_filters() {
    let (service, _directory) = Service::start(&[]);
    let running = id(&service.post("/v1/select", &selection("wait")));
    service.wait_for(&running, "running");
    let waiting = ["a", "b", "c"].map(|output| id(&service.post("/v1/select", &selection(output))));
    let ids = |page: &Value| -> Vec<String> {
        page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_string()).collect()
    };
    let page = service.get("/v1/jobs?limit=2").json();
    assert_eq!(ids(&page), [waiting[2].clone(), waiting[1].clone()]);
    let next = page["next"].as_str().unwrap();
    let page = service.get(&format!("/v1/jobs?limit=2&cursor={next}")).json();
    assert_eq!((ids(&page), &page["next"]), (vec![waiting[0].clone(), running.clone()], &Value::Null));
    assert_eq!(ids(&service.get("/v1/jobs?state=running").json()), [running]);
    assert_eq!(ids(&service.get("/v1/jobs?state=queued").json()).len(), 3);
}

#[test]
fn a_token_is_needed_where_tokens_are_configured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0\n")
        .unwrap();
    let (service, _directory) = Service::start(&["--token-file", file.path().to_str().unwrap()]);
    for header in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic czNjcmV0"), Some("s3cret")] {
        let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
        for path in ["/v1/jobs", "/v1/models", "/metrics", "/nothing"] {
            let answer = service.send("GET", path, &headers, None);
            assert_eq!(answer.problem(), (401, "unauthorized".to_string()), "{path} {header:?}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_ne!(service.get(path).status, 401, "{path}");
    }
    for header in ["Bearer s3cret", "bearer s3cret"] {
        assert_eq!(service.send("GET", "/v1/jobs", &[("authorization", header)], None).status, 200);
    }
}

#[test]
fn readiness_waits_for_the_model_while_health_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Arc::new(FakeEngine::default());
    engine.loading.store(true, Ordering::Relaxed);
    let service = Service::start_with(directory.path(), &[], engine.clone());
    assert_eq!(service.get("/healthz").status, 200);
    let answer = service.get("/readyz");
    assert_eq!(answer.problem(), (503, "not_ready".to_string()));
    assert!(answer.text.contains("model"), "{}", answer.text);
    engine.loading.store(false, Ordering::Relaxed);
    service.wait_ready();
}

#[test]
fn readiness_names_a_store_that_does_not_answer() {
    let (service, _directory) = Service::start(&["--allow", "s3://down/data"]);
    loop {
        let answer = service.get("/readyz");
        assert_eq!(answer.problem(), (503, "not_ready".to_string()));
        if answer.text.contains("s3://down/data") {
            break;
        }
        assert!(answer.text.contains("model"), "{}", answer.text);
    }
}

#[test]
fn metrics_count_jobs_requests_and_work_under_bounded_labels() {
    let (service, _directory) = Service::start(&[]);
    let job = id(&service.post("/v1/select", &selection("out")));
    service.wait_for(&job, "complete");
    for path in ["/no/such/path/1", "/no/such/path/2"] {
        service.get(path);
    }
    let answer = service.get("/metrics");
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "bioprune_jobs{state=\"complete\"} 1",
        "bioprune_jobs{state=\"running\"} 0",
        "bioprune_records_total{stage=\"select\"} 5",
        "bioprune_tokens_total{stage=\"select\"} 50",
        "bioprune_tokens_per_second 0",
        "bioprune_queue_age_seconds 0",
        "bioprune_storage_failures_total 0",
        "bioprune_storage_bytes_total{direction=\"read\"} 0",
        "bioprune_http_requests_total{method=\"POST\",route=\"/v1/select\",status=\"202\"} 1",
        "bioprune_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 2",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line} is not in\n{}", answer.text);
    }
    assert!(answer.text.contains("route=\"/v1/jobs/{id}\"") && !answer.text.contains(&job));
}

#[test]
fn models_with_a_name_are_listed_and_shown() {
    let (service, _directory) = Service::start(&[]);
    let models = service.get("/v1/models").json();
    let first = &models["models"][0];
    let name = first["name"].as_str().unwrap();
    let shown = service.get(&format!("/v1/models/{name}")).json();
    for (field, value) in first.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert!(shown["hidden_size"].as_u64().unwrap() > 0);
}
