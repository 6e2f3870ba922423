//! Following a job: waiting for its end, and its events as they happen.

use super::Service;
use super::auth::Caller;
use super::problem::{blocking, responses};
use crate::error::{Code, Result};
use crate::jobs::{Change, Job, JobId, Problem};
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use futures::{Stream, stream};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};
use xxhash_rust::xxh3::xxh3_64;

/// A comment is sent so often where nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Follows a job as server-sent events.
///
/// They are `state` (the whole job) at first and after each change of state, `progress`
/// (as the job's `progress`) while it runs. The stream ends after the `state` of a job that has ended.
///
/// The id of a `state` stands for what it says. A client that shows the last one in `Last-Event-ID` is not told the same
/// again, before a restart of the service and after: 204 where the job has ended and nothing more will come.
#[utoipa::path(
    tag = "jobs",
    operation_id = "follow_job",
    params(
        ("id" = String, Path, description = "The job's id", example = "prune-8c1f0a7be2d94c5a1b0f33e2"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came", example = "5d41402abc4b2a76")
    ),
    responses(Followed),
    security(("bearer" = []), ())
)]
#[get("/v1/jobs/{id}/events")]
pub(super) async fn events(
    id: web::Path<String>,
    caller: Caller,
    service: web::Data<Service>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse()?;
    let receiver = service.jobs.subscribe();
    let job = caller.admit(job(&service, &id).await?)?;
    let told = request.headers().get("Last-Event-ID").is_some_and(|id| id.as_bytes() == tag(&job).as_bytes());
    if told && job.state.is_final() {
        return Ok(HttpResponse::NoContent().finish());
    }
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // proxies of nginx's kind would collect events
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Follower { service, id, receiver, next: (!told).then_some(job) }.into_stream()))
}

/// Waits until a job has ended, the service stops, or `patience` is at its end.
pub(super) async fn until_final(
    service: &web::Data<Service>,
    id: &JobId,
    mut receiver: Receiver<Change>,
    patience: Duration,
) -> Result<Job, Problem> {
    let deadline = Instant::now() + patience;
    loop {
        let current = job(service, id).await?;
        if current.state.is_final() {
            return Ok(current);
        }
        loop {
            match timeout_at(deadline, receiver.recv()).await {
                Err(_) | Ok(Err(RecvError::Closed)) => return job(service, id).await,
                Ok(Err(RecvError::Lagged(_))) => break,
                Ok(Ok(event)) => match event {
                    Change::State(changed) if changed == *id => break,
                    Change::Stopping => return job(service, id).await,
                    Change::State(_) | Change::Progress(..) => {}
                },
            }
        }
    }
}

/// How a job is now. Only one that is not in memory is waited for.
pub(super) async fn job(service: &web::Data<Service>, id: &JobId) -> Result<Job, Problem> {
    if let Some(job) = service.jobs.look(id) {
        return Ok(job);
    }
    let (service, id) = (service.clone(), id.clone());
    blocking(move || service.jobs.get(&id)).await
}

struct Follower {
    service: web::Data<Service>,
    id: JobId,
    receiver: Receiver<Change>,
    /// The state to tell before anything else
    next: Option<Job>,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Problem>> {
        stream::unfold(Some(self), |following| async move {
            let mut follower = following?;
            let (told, job) = match follower.next.take() {
                Some(job) => (state_message(&job), Some(job)),
                None => follower.recv().await?,
            };
            let ended = job.is_some_and(|job| job.state.is_final());
            Some((told, (!ended).then_some(follower)))
        })
    }

    /// The next message; with the job where its state is told. None where the service stops.
    async fn recv(&mut self) -> Option<(Result<Bytes, Problem>, Option<Job>)> {
        loop {
            let event = match timeout(KEEP_ALIVE, self.receiver.recv()).await {
                Err(_) => return Some((Ok(Bytes::from_static(b": still here\n\n")), None)),
                Ok(Err(RecvError::Closed)) => return None,
                // events were lost: what counts is where the job is now
                Ok(Err(RecvError::Lagged(_))) => return Some(self.tell_state().await),
                Ok(Ok(event)) => event,
            };
            match event {
                Change::Stopping => return None,
                Change::State(id) if id == self.id => return Some(self.tell_state().await),
                Change::Progress(id, progress) if id == self.id => {
                    return Some((message("progress", None, &progress), None));
                }
                Change::State(_) | Change::Progress(..) => {}
            }
        }
    }

    async fn tell_state(&self) -> (Result<Bytes, Problem>, Option<Job>) {
        match job(&self.service, &self.id).await {
            Ok(job) => (state_message(&job), Some(job)),
            Err(problem) => (Err(problem), None),
        }
    }
}

/// The same for jobs that say the same, apart from how far they are.
fn tag(job: &Job) -> String {
    let settled = Job { progress: None, ..job.clone() };
    // what cannot be written is told as an error anyway
    format!("{:016x}", xxh3_64(&serde_json::to_vec(&settled).unwrap_or_default()))
}

fn state_message(job: &Job) -> Result<Bytes, Problem> {
    message("state", Some(tag(job)), job)
}

fn message(event: &str, id: Option<String>, data: &impl serde::Serialize) -> Result<Bytes, Problem> {
    let data =
        serde_json::to_string(data).map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Ok(Bytes::from(format!("{id}event: {event}\ndata: {data}\n\n")))
}

/// The documented responses of the events.
struct Followed;

impl utoipa::IntoResponses for Followed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = responses(&[Code::Unauthorized, Code::JobNotFound, Code::Internal, Code::NotReady]);
        // neither text nor JSON as a whole: OpenAPI 3.1 has no words for events
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let content = ContentBuilder::new().schema(Some(any)).build();
        let stream = ResponseBuilder::new()
            .description("Events: `state` with a Job as data, `progress` with a JobProgress")
            .content("text/event-stream", content)
            .build();
        all.insert("200".to_string(), stream.into());
        let ended = ResponseBuilder::new().description("The job has ended, and its last event came already");
        all.insert("204".to_string(), ended.build().into());
        all
    }
}
