//! The REST service: jobs over HTTP, and the OpenAPI document that says how.
//!
//! Handlers parse, check and answer; what waits for the disk or for storage runs on threads that may wait, and what
//! computes runs on the worker thread of [`crate::jobs`]. Every error is a problem document of the table in
//! [`crate::error`]. `routes` is the list of endpoints.

mod allow;
mod application;
mod auth;
mod body;
mod docs;
mod engine;
mod examples;
mod follow;
#[cfg(test)]
mod fuzz;
mod health;
mod idle;
mod info;
mod jobs;
mod metrics;
mod models;
mod openapi;
mod options;
mod prefer;
mod prefix;
mod problem;
mod routes;
mod scope;
mod submit;
mod tls;
mod trace;

pub use application::{Application, StopHandle, serve};
pub use auth::token_line;
pub use openapi::openapi_json;
pub use options::ServeOptions;

use crate::jobs::{Jobs, Objects};
use crate::model::ModelInfo;
use serde_json::Value;
use std::sync::Arc;

/// What the handlers share.
struct Service {
    jobs: Jobs,
    /// How long the running job may take to commit what is done once the service stops
    drain: std::time::Duration,
    objects: Arc<dyn Objects>,
    allow: allow::AllowList,
    tokens: auth::Tokens,
    /// Fields that a request takes from the service's flags where it does not have them
    defaults: Vec<(&'static str, Value)>,
    /// Longest body, in bytes
    max_body: usize,
    /// Longest time until a body is there
    request_timeout: std::time::Duration,
    metrics: metrics::Metrics,
    activity: idle::Activity,
    info: info::Info,
    probe: health::Probe,
    /// Held in the program
    models: Vec<ModelInfo>,
    openapi: actix_web::web::Bytes,
    paths: routes::Paths,
}

impl Service {
    /// The names of the models that have one, for messages.
    fn model_names(&self) -> String {
        self.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
