//! Whether the service lives, and whether it can take jobs.

use super::Service;
use super::problem::{blocking, problems};
use crate::error::{Code, Error, Result};
use crate::jobs::{Objects, Problem, Readiness};
use actix_web::{HttpResponse, get, web};
use parking_lot::Mutex;
use serde::Serialize;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// A probe's answer holds so long: readiness is asked often, and a store may charge for each request.
const PROBE_LIFETIME: Duration = Duration::from_secs(15);

/// The service's own state
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` or `ready`
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version
    #[schema(example = "0.1.0")]
    version: &'static str,
}

impl Health {
    fn answer(status: &'static str) -> HttpResponse {
        HttpResponse::Ok().json(Health { status, version: env!("CARGO_PKG_VERSION") })
    }
}

/// Answers as long as the service lives.
///
/// It touches neither device nor store: a probe of life, for restarts.
#[utoipa::path(
    tag = "service",
    operation_id = "health",
    responses((status = 200, description = "The service lives", body = Health))
)]
#[get("/healthz")]
pub(super) async fn healthz() -> HttpResponse {
    Health::answer("ok")
}

/// Tells whether the service takes jobs.
///
/// Answers 200 once the model is loaded, the job store works and the allowed stores are in reach; else 503 and the reason.
/// That the stores answered holds for 15 seconds.
#[utoipa::path(
    tag = "service",
    operation_id = "readiness",
    responses((status = 200, description = "The service takes jobs", body = Health), NotReady)
)]
#[get("/readyz")]
pub(super) async fn readyz(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let asked = blocking(move || check_ready(&service));
    asked.await.map_err(|problem| Problem::new(Code::NotReady, problem.detail))?;
    Ok(Health::answer("ready"))
}

fn check_ready(service: &Service) -> Result<()> {
    let not_ready = |reason: &str| Err(Error::new(Code::NotReady, reason));
    if service.jobs.is_stopping() {
        return not_ready("the service is stopping");
    }
    match service.jobs.readiness() {
        Readiness::Preparing => return not_ready("the model is being loaded"),
        Readiness::Failed(reason) => return not_ready(&reason),
        Readiness::Ready => {}
    }
    service.jobs.counts()?;
    service.probe.ask(service.objects.as_ref())
}

problems!(NotReady: NotReady);

/// Asks the allowed stores for an answer, from time to time.
pub(super) struct Probe {
    locations: Vec<String>,
    answered: Mutex<Option<Instant>>,
}

impl Probe {
    pub fn new(locations: Vec<String>) -> Probe {
        Probe { locations, answered: Mutex::new(None) }
    }

    fn ask(&self, objects: &dyn Objects) -> Result<()> {
        let mut answered = self.answered.lock();
        if answered.is_some_and(|when| when.elapsed() < PROBE_LIFETIME) {
            return Ok(());
        }
        for location in &self.locations {
            objects.exists(location).map_err(|error| {
                Error::new(Code::NotReady, format!("no answer about {location}")).caused_by(error)
            })?;
        }
        *answered = Some(Instant::now());
        Ok(())
    }
}
