//! What this service is: its version, what it computes on, its models and its limits.

use super::Service;
use super::problem::problems;
use crate::sequence::MAX_RECORD_BYTES;
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

/// What this service is, and what it takes on
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Info {
    /// The program's version
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// What the models compute on where a request does not say otherwise, and why
    #[schema(example = "on the CPU in f32: there is no GPU")]
    pub device: String,
    /// The model of requests that name none
    #[schema(example = "auto")]
    pub default_model: String,
    /// Models that are held in the program; `/v1/models` tells more
    #[schema(example = json!(["rna-nano", "protein-nano", "rna-hairpins"]))]
    pub models: Vec<String>,
    /// What is refused beyond
    pub limits: Limits,
}

/// What is refused beyond
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Limits {
    /// Longest body of a request, in bytes
    #[schema(example = 1_048_576)]
    pub body_bytes: usize,
    /// Longest time to send a request, in seconds
    #[schema(example = 30)]
    pub request_seconds: u32,
    /// Most jobs that may wait
    #[schema(example = 64)]
    pub queue_length: usize,
    /// Most files that a pattern may name
    #[schema(example = 100_000)]
    pub inputs: usize,
    /// Longest record, in bytes of the input
    #[schema(example = 67_108_864)]
    pub record_bytes: usize,
    /// How long ended jobs are kept, in days
    #[schema(example = 30)]
    pub keep_jobs_days: u32,
}

impl Limits {
    pub fn of(options: &super::ServeOptions) -> Limits {
        Limits {
            body_bytes: options.max_body,
            request_seconds: options.request_timeout,
            queue_length: options.queue_length,
            inputs: options.max_inputs,
            record_bytes: MAX_RECORD_BYTES,
            keep_jobs_days: options.keep_jobs,
        }
    }
}

/// Tells the service's version, device, models and limits.
///
/// What exceeds a limit is refused: sizes are bytes, `request_seconds` is seconds, `keep_jobs_days` days.
#[utoipa::path(
    tag = "service",
    operation_id = "info",
    responses((status = 200, description = "The service", body = Info), Told),
    security(("bearer" = []), ())
)]
#[get("/v1/info")]
pub(super) async fn info(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().json(&service.info)
}

problems!(Told: Unauthorized);
