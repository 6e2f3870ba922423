//! The endpoints that create jobs.

use super::auth::Caller;
use super::problem::{blocking, header, responses};
use super::scope::access;
use super::{Service, body, follow, prefer, trace};
use crate::error::Code;
use crate::hub::ModelId;
use crate::jobs::{IdempotencyKey, Job, JobKind, JobRequest, JobState, Problem, is_model_name};
use crate::pipeline::{AUTO, CurvatureRequest, PruneRequest, ScoreRequest, SelectRequest};
use crate::storage::{Location, Policy};
use actix_web::http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, post, web};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::openapi::schema::{Ref, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};

/// Longest key that is kept.
const KEY_LENGTH: usize = 255;
/// A client asks again after so many seconds at least, and at most.
const RETRY_AFTER_SECONDS: (f64, f64) = (1.0, 30.0);

/// Runs the whole job: estimates the curvature, scores every record, selects, and writes the coreset with its evidence.
///
/// The same request over unchanged inputs is the same job: it is found again, and not computed again.
#[utoipa::path(
    tag = "jobs",
    operation_id = "prune",
    request_body(
        content = PruneRequest,
        example = json!({"inputs": ["s3://bucket/rna.fa.gz"], "output": "s3://bucket/coreset/", "keep": "10%"})
    ),
    params(SubmitHeaders),
    responses(Submitted),
    security(("bearer" = []), ())
)]
#[post("/v1/prune")]
pub(super) async fn prune(
    http: HttpRequest,
    payload: web::Payload,
    caller: Caller,
    service: web::Data<Service>,
) -> Answer {
    submit(JobKind::Prune, http, payload, caller, service).await
}

/// Estimates the curvature on a random sample of the records, and writes it.
///
/// The file holds an exact sum and a count of records, so that the files of several `shard`s add up to that of the whole.
#[utoipa::path(
    tag = "jobs",
    operation_id = "curvature",
    request_body(
        content = CurvatureRequest,
        example = json!({"inputs": ["s3://bucket/rna.fa.gz"], "output": "s3://bucket/curvature.safetensors"})
    ),
    params(SubmitHeaders),
    responses(Submitted),
    security(("bearer" = []), ())
)]
#[post("/v1/curvature")]
pub(super) async fn curvature(
    http: HttpRequest,
    payload: web::Payload,
    caller: Caller,
    service: web::Data<Service>,
) -> Answer {
    submit(JobKind::Curvature, http, payload, caller, service).await
}

/// Scores every record by its self-influence; the larger, the more influential.
///
/// The scores are a table (`.parquet`, `.tsv`, `.tsv.gz`) with a row for each record: lengths in residues and tokens, the
/// loss in nats a scored position, the influence without a unit. Without `curvature` it is estimated first, on `sample`.
#[utoipa::path(
    tag = "jobs",
    operation_id = "score",
    request_body(
        content = ScoreRequest,
        example = json!({
            "inputs": ["s3://bucket/rna.fa.gz"],
            "output": "s3://bucket/scores.parquet",
            "curvature": "s3://bucket/curvature.safetensors"
        })
    ),
    params(SubmitHeaders),
    responses(Submitted),
    security(("bearer" = []), ())
)]
#[post("/v1/score")]
pub(super) async fn score(
    http: HttpRequest,
    payload: web::Payload,
    caller: Caller,
    service: web::Data<Service>,
) -> Answer {
    submit(JobKind::Score, http, payload, caller, service).await
}

/// Selects a coreset of a given budget from scores.
///
/// The budget (`keep`) is a number of records, a share of them in percent, or a number of residues. Nothing is computed by
/// a model: the scores decide, and the kept records are copied from their sources byte for byte.
#[utoipa::path(
    tag = "jobs",
    operation_id = "select",
    request_body(
        content = SelectRequest,
        example = json!({"scores": ["s3://bucket/scores.parquet"], "output": "s3://bucket/coreset/", "keep": "10%"})
    ),
    params(SubmitHeaders),
    responses(Submitted),
    security(("bearer" = []), ())
)]
#[post("/v1/select")]
pub(super) async fn select(
    http: HttpRequest,
    payload: web::Payload,
    caller: Caller,
    service: web::Data<Service>,
) -> Answer {
    submit(JobKind::Select, http, payload, caller, service).await
}

type Answer = Result<HttpResponse, Problem>;

/// The headers of a request that creates a job, for its documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by name in `submit`; the fields are its documentation")]
struct SubmitHeaders {
    /// `wait=N` waits up to N seconds (at most 60) for the job to end, and answers 200 if it does; `respond-async`,
    /// the default, does not wait
    #[param(rename = "Prefer", example = "wait=30")]
    prefer: Option<String>,
    /// The client's own name for this request: sent again with the same body it leads to the same job, with another
    /// body it is refused; kept for 24 hours
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, example = "rna-2026-11-24")]
    idempotency_key: Option<String>,
}

async fn submit(
    kind: JobKind,
    http: HttpRequest,
    payload: web::Payload,
    caller: Caller,
    service: web::Data<Service>,
) -> Answer {
    let body = body::read(kind, &http, payload, &service).await?;
    let key = idempotency_key(&http, &caller, body.canonical)?;
    let origin = caller.origin(trace::parent(http.headers()))?;
    let preference = prefer::parse(http.headers());
    let events = service.jobs.subscribe();
    let data = service.clone();
    let request = body.request;
    let submitted = blocking(move || {
        check_locations(&request, &caller, &data)?;
        data.jobs.submit(&request, key.as_ref(), &origin).map_err(Problem::from)
    })
    .await?;
    let mut job = submitted.job;
    if let Some(wait) = preference.wait
        && !job.state.is_final()
    {
        job = follow::until_final(&service, &job.id, events, wait).await?;
    }
    let mut response = if job.state.is_final() { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    if !job.state.is_final() {
        response.insert_header((RETRY_AFTER, retry_after(&job).as_secs()));
    }
    if let Some(applied) = preference.applied() {
        response.insert_header(("Preference-Applied", applied));
    }
    Ok(response
        .insert_header((LOCATION, format!("/v1/jobs/{}", job.id)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(job))
}

/// Whether the request names models that there are and locations that it may touch.
fn check_locations(request: &JobRequest, caller: &Caller, service: &Service) -> Result<(), Problem> {
    for (field, role, location) in request.locations() {
        let parsed = location.parse::<Location>();
        let parsed =
            parsed.map_err(|error| Problem::new(Code::InvalidRequest, error.message).with_field(field))?;
        let access = access(role);
        let checked = service.allow.check(&parsed, access).and_then(|()| match caller.grant() {
            Some(grant) => grant.check(&parsed, access),
            None => Ok(()),
        });
        checked.map_err(|error| Problem::from(error).with_field(field))?;
    }
    let Some(model) = request.model().filter(|model| is_model_name(model) && *model != AUTO) else {
        return Ok(());
    };
    if let Ok(id) = model.parse::<ModelId>() {
        let allowed = service.allow.check_model(&id.repository());
        return allowed.map_err(|error| Problem::from(error).with_field("model"));
    }
    match service.models.iter().any(|known| known.name == model) {
        true => Ok(()),
        false => {
            let detail = format!("there is no model {model:?}; known are {}", service.model_names());
            Err(Problem::new(Code::ModelUnavailable, detail).with_field("model"))
        }
    }
}

fn idempotency_key(
    http: &HttpRequest,
    caller: &Caller,
    body: String,
) -> Result<Option<IdempotencyKey>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let Some(value) = http.headers().get(NAME) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if (1..=KEY_LENGTH).contains(&key.len()) => {
            Ok(Some(IdempotencyKey { client: caller.name().to_string(), key: key.to_string(), body }))
        }
        _ => {
            let detail = format!("{NAME}: allowed are 1 to {KEY_LENGTH} printable ASCII characters");
            Err(Problem::new(Code::InvalidRequest, detail).with_field(NAME))
        }
    }
}

/// When it is worth to look again.
fn retry_after(job: &Job) -> Duration {
    let (least, most) = RETRY_AFTER_SECONDS;
    let eta = match job.state {
        JobState::Running => job.progress.as_ref().and_then(|progress| progress.eta_seconds),
        _ => None,
    };
    Duration::from_secs_f64(eta.unwrap_or(least).clamp(least, most).ceil())
}

/// The documented responses of an endpoint that creates jobs.
struct Submitted;

impl utoipa::IntoResponses for Submitted {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let job = |description: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Job"))).build();
            ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .header("Location", header(Type::String, "Path of the job"))
                .header("Preference-Applied", header(Type::String, "The part of `Prefer` that was honoured"))
        };
        let seconds = header(Type::Integer, "Seconds after which to look at the job");
        let mut all = responses(&[
            Code::MalformedJson,
            Code::Unauthorized,
            Code::Forbidden,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidRequest,
            Code::InputNotFound,
            Code::BadInput,
            Code::ModelUnavailable,
            Code::IdempotencyConflict,
            Code::QueueFull,
            Code::Internal,
            Code::StorageFailed,
            Code::NotReady,
        ]);
        let ended = "The job has ended: see its `state`, `result` and `error`";
        all.insert("200".to_string(), job(ended).build().into());
        let waits = "The job waits or runs: look at `Location` until it has ended, or follow its events";
        all.insert("202".to_string(), job(waits).header("Retry-After", seconds).build().into());
        all
    }
}
