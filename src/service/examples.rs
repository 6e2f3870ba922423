//! Examples of what the service answers, for its OpenAPI document: made of the types that are sent, so that they keep
//! to the schemas.

use super::info::{Info, Limits};
use crate::error::Code;
use crate::jobs::{Job, JobKind, JobPage, JobProgress, JobRequest, JobResult, JobState, Problem};
use crate::model::{ModelInfo, ModelStatus, ModelSummary};
use crate::pipeline::{Counts, CurvatureSummary, PruneSummary, ScoreSummary, SelectSummary, Stage};
use crate::sequence::MAX_RECORD_BYTES;
use serde_json::{Value, json};

/// Puts an example beside the schema of every answer that is no problem.
pub(super) fn add(document: &mut Value) {
    let bodies = JobKind::ALL.map(|kind| {
        let request = &document["paths"][format!("/v1/{}", kind.name())]["post"]["requestBody"];
        (kind, request["content"]["application/json"]["example"].clone())
    });
    let job = |operation: &str, state: JobState| {
        let (kind, body) = bodies.iter().find(|(kind, _)| kind.name() == operation).unwrap_or(&bodies[0]);
        job(*kind, state, body.clone())
    };
    let operations = document["paths"].as_object_mut().into_iter().flatten();
    for (_, operation) in operations.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten()) {
        let name = operation["operationId"].as_str().unwrap_or_default().to_string();
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let Some(example) = answer(&name, status, &job) else { continue };
            for (_, content) in response["content"].as_object_mut().into_iter().flatten() {
                content["example"] = example.clone();
            }
        }
    }
}

/// What an operation answers with that status; none where it is a problem.
fn answer(operation: &str, status: &str, job: &dyn Fn(&str, JobState) -> Value) -> Option<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Some(match (operation, status) {
        (_, "202") => job(operation, JobState::Running),
        (_, other) if other != "200" => return None,
        ("cancel_job", _) => job("prune", JobState::Canceled),
        ("list_jobs", _) => {
            let jobs = serde_json::from_value(json!([job("prune", JobState::Running)])).unwrap_or_default();
            json!(JobPage { jobs, next: Some("1041".to_string()) })
        }
        ("follow_job", _) => {
            let data = json!(progress());
            json!(format!("id: 8\nevent: progress\ndata: {data}\n\n"))
        }
        ("list_models", _) => json!({"models": [ModelSummary::from(&model())]}),
        ("show_model", _) => json!(model()),
        ("info", _) => json!(info()),
        ("health", _) => json!({"status": "ok", "version": version}),
        ("readiness", _) => json!({"status": "ready", "version": version}),
        ("metrics", _) => json!("# TYPE bioprune_jobs gauge\nbioprune_jobs{state=\"queued\"} 3\n"),
        ("openapi", _) => {
            json!({"openapi": "3.1.0", "info": {"title": "bioprune", "version": version}, "paths": {}})
        }
        _ => job(operation, JobState::Complete),
    })
}

/// A job of that kind in that state, asked for by `body`.
fn job(kind: JobKind, state: JobState, body: Value) -> Value {
    let output = body["output"].as_str().unwrap_or_default().to_string();
    let request = JobRequest::from_json(kind, body).and_then(serde_json::to_value).unwrap_or_default();
    let is_complete = state == JobState::Complete;
    let outputs = match kind {
        _ if !is_complete => Vec::new(),
        JobKind::Prune | JobKind::Select => {
            ["coreset.fa.gz", "manifest.json"].map(|name| format!("{output}{name}")).to_vec()
        }
        JobKind::Curvature | JobKind::Score => vec![output.clone()],
    };
    let id = format!("{}-8c1f0a7be2d94c5a1b0f33e2", kind.name());
    // the id is one of that form
    let Ok(id) = id.parse() else { return Value::Null };
    json!(Job {
        id,
        kind,
        state,
        created: "2026-11-24T09:30:00.000Z".to_string(),
        started: Some("2026-11-24T09:30:01.000Z".to_string()),
        finished: state.is_final().then(|| "2026-11-24T09:34:20.000Z".to_string()),
        cancel_requested: state == JobState::Canceled,
        progress: (state == JobState::Running).then(progress),
        request,
        outputs,
        result: is_complete.then(|| result(kind, output)),
        error: None,
    })
}

fn progress() -> JobProgress {
    JobProgress {
        stage: Stage::Score,
        records: 1500,
        total_records: Some(6000),
        input_share: Some(0.25),
        tokens: 1_260_000,
        seconds: 12.5,
        records_per_second: 120.0,
        tokens_per_second: 100_800.0,
        eta_seconds: Some(37.5),
        batch_fill: Some(1.02),
    }
}

fn result(kind: JobKind, output: String) -> JobResult {
    let counts = |records| Counts {
        records,
        residues: records * 115,
        scored: records,
        truncated: 12,
        ..Counts::default()
    };
    let model = "rna-nano".to_string();
    let curvature = |curvature: String| CurvatureSummary {
        curvature,
        model: model.clone(),
        sampled: 2000,
        mean: 3.1e-7,
        counts: counts(2000),
        reused: 0,
        seconds: 17.5,
    };
    let score = |scores: String| ScoreSummary {
        scores,
        model: model.clone(),
        counts: counts(6000),
        reused: 0,
        tokens: 4_914_000,
        tokens_per_second: 100_800.0,
        confounds: None,
        seconds: 48.75,
    };
    let select = |output: String| SelectSummary {
        output,
        pool: 6000,
        pool_residues: 690_000,
        kept: 600,
        kept_residues: 70_100,
        warnings: Vec::new(),
        seconds: 1.25,
    };
    match kind {
        JobKind::Curvature => JobResult::Curvature(curvature(output)),
        JobKind::Score => JobResult::Score(score(output)),
        JobKind::Select => JobResult::Select(select(output)),
        JobKind::Prune => JobResult::Prune(PruneSummary {
            curvature: Some(curvature(format!("{output}curvature.safetensors"))),
            score: score(format!("{output}scores.parquet")),
            select: select(output),
            seconds: 67.5,
        }),
    }
}

fn model() -> ModelInfo {
    ModelInfo {
        name: "rna-nano".to_string(),
        family: "rna-fm".to_string(),
        status: ModelStatus::Embedded,
        description: "A small RNA language model of RNA-FM's architecture".to_string(),
        licence: "MIT OR Apache-2.0".to_string(),
        parameters: 271_769,
        layers: 4,
        hidden_size: 64,
        attention_heads: 4,
        vocabulary: 25,
        max_tokens: 1024,
        digest: "xxh3:d0097241850beee1a23ca6505a058dde".to_string(),
    }
}

fn info() -> Info {
    Info {
        version: env!("CARGO_PKG_VERSION"),
        device: "on the CPU in f32: there is no GPU".to_string(),
        default_model: "auto".to_string(),
        models: vec!["rna-nano".to_string(), "protein-nano".to_string()],
        limits: Limits {
            body_bytes: 1 << 20,
            request_seconds: 30,
            queue_length: 64,
            inputs: 100_000,
            record_bytes: MAX_RECORD_BYTES,
            keep_jobs_days: 30,
        },
    }
}

/// A problem of that code.
pub(super) fn problem(code: Code) -> Problem {
    let (detail, field) = match code {
        Code::MalformedJson => ("the body is not JSON: expected value at line 1 column 13", None),
        Code::InvalidRequest => ("mask_passes: 8 is not allowed; allowed are 1 to 7", Some("mask_passes")),
        Code::InputNotFound => ("s3://bucket/none.fa: there is no such file or object", None),
        Code::BadInput => ("s3://bucket/rna.fa.gz: the gzip data ends early: the file was cut", None),
        Code::ModelUnavailable => {
            ("there is no model \"rna-tiny\"; known are rna-nano, protein-nano", Some("model"))
        }
        Code::IdempotencyConflict => {
            ("the Idempotency-Key \"run-7\" was used with another body", Some("Idempotency-Key"))
        }
        Code::UnsupportedMediaType => {
            ("Content-Type \"text/plain\": allowed is application/json", Some("Content-Type"))
        }
        Code::Forbidden => {
            ("location \"s3://other/rna.fa\": it is not below a prefix that is allowed", Some("inputs"))
        }
        Code::RequestTimeout => ("the body was not there within 30 seconds", None),
        Code::BodyTooLarge => ("a body has at most 1048576 bytes", None),
        Code::Unauthorized => ("the header Authorization: Bearer TOKEN is missing", None),
        Code::JobNotFound => ("there is no job prune-8c1f0a7be2d94c5a1b0f33e2", None),
        Code::ResourceNotFound => ("there is no model \"rna-tiny\"; known are rna-nano, protein-nano", None),
        Code::JobState => (
            "job prune-8c1f0a7be2d94c5a1b0f33e2 is complete; only a queued or running job can be canceled",
            None,
        ),
        Code::QueueFull => ("64 jobs wait; allowed are 64", None),
        Code::StorageFailed => ("s3://bucket/rna.fa.gz: the store does not answer", None),
        Code::NotReady => ("the model is being loaded", None),
        other => (other.info().title, None),
    };
    let problem = Problem::new(code, detail);
    match field {
        Some(field) => problem.with_field(field),
        None => problem,
    }
}
