//! The endpoints that list, show and cancel jobs.

use super::Service;
use super::auth::Caller;
use super::follow;
use super::problem::{blocking, problems};
use crate::error::{Code, Error};
use crate::jobs::{Filter, Job, JobId, JobPage, JobState, Problem};
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, get, post, web};

const DEFAULT_LIMIT: usize = 50;
const MOST: usize = 500;

/// Lists jobs, the latest first.
///
/// A page has at most `limit` jobs; its `next` is the `cursor` of the page after it, and null on the last one. A bearer
/// sees the jobs that touch its own prefixes alone.
#[utoipa::path(
    tag = "jobs",
    operation_id = "list_jobs",
    params(ListQuery),
    responses((status = 200, description = "Some of the jobs", body = JobPage), Listed),
    security(("bearer" = []), ())
)]
#[get("/v1/jobs")]
pub(super) async fn list(
    http: HttpRequest,
    caller: Caller,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let filter = filter(http.query_string())?;
    let page = blocking(move || page(filter, &caller, &service)).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(page))
}

/// A page of the jobs that the caller may see.
fn page(mut filter: Filter, caller: &Caller, service: &Service) -> crate::error::Result<JobPage> {
    let wanted = filter.limit;
    let mut jobs = Vec::new();
    loop {
        let page = service.jobs.list(&filter)?;
        jobs.extend(page.jobs.into_iter().filter(|job| caller.sees(job)));
        filter.limit = wanted - jobs.len();
        filter.before = page.next.as_deref().and_then(|next| next.parse().ok());
        if filter.limit == 0 || filter.before.is_none() {
            return Ok(JobPage { jobs, next: page.next });
        }
    }
}

/// Shows a job: its state, progress, speed, results.
///
/// Times are RFC 3339 in UTC, durations are seconds, speeds are records and tokens a second. While the job waits or runs it
/// is worth to ask again after as many seconds as `Retry-After` said when it was created, or to follow its events.
#[utoipa::path(
    tag = "jobs",
    operation_id = "show_job",
    params(("id" = String, Path, description = "The job's id", example = "prune-8c1f0a7be2d94c5a1b0f33e2")),
    responses((status = 200, description = "The job", body = Job), Shown),
    security(("bearer" = []), ())
)]
#[get("/v1/jobs/{id}")]
pub(super) async fn show(
    id: web::Path<String>,
    caller: Caller,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse()?;
    let job = caller.admit(follow::job(&service, &id).await?)?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(job))
}

/// Cancels a job, which leaves no outputs behind.
///
/// A job that waits is canceled at once (200). One that runs is asked to stop, which takes about a second (202); its state
/// is `canceled` then. Asking for the same again queues it again.
#[utoipa::path(
    tag = "jobs",
    operation_id = "cancel_job",
    params(("id" = String, Path, description = "The job's id", example = "prune-8c1f0a7be2d94c5a1b0f33e2")),
    responses(
        (status = 200, description = "The job is canceled", body = Job),
        (status = 202, description = "The job runs, and was asked to stop", body = Job),
        Canceled
    ),
    security(("bearer" = []), ())
)]
#[post("/v1/jobs/{id}/cancel")]
pub(super) async fn cancel(
    id: web::Path<String>,
    caller: Caller,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse()?;
    let canceled = blocking(move || {
        caller.admit(service.jobs.get(&id)?)?;
        service.jobs.cancel(&id)
    });
    let job = canceled.await?;
    let mut response = match job.state {
        JobState::Canceled => HttpResponse::Ok(),
        _ => HttpResponse::Accepted(),
    };
    Ok(response.insert_header((CACHE_CONTROL, "no-store")).json(job))
}

/// The query of a list, for its documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by name in `filter`; the fields are its documentation")]
struct ListQuery {
    /// Only jobs in this state
    #[param(example = "running")]
    state: Option<JobState>,
    /// Most jobs on a page
    #[param(minimum = 1, maximum = 500, default = 50, example = 20)]
    limit: Option<usize>,
    /// Where to go on: the `next` of the page before
    #[param(pattern = "^[0-9]{1,18}$", example = "1041")]
    cursor: Option<String>,
}

fn filter(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter { limit: DEFAULT_LIMIT, ..Filter::default() };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let refuse = |detail: String| Problem::new(Code::InvalidRequest, detail).with_field(name.as_ref());
        match name.as_ref() {
            "state" => filter.state = Some(value.parse().map_err(|error: Error| refuse(error.message))?),
            "limit" => {
                filter.limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST).contains(limit))
                    .ok_or_else(|| refuse(format!("limit {value:?}: allowed are 1 to {MOST}")))?;
            }
            "cursor" => {
                let cursor = value.parse().ok().filter(|cursor| *cursor >= 0);
                let detail = || refuse(format!("cursor {value:?}: allowed is the `next` of an earlier page"));
                filter.before = Some(cursor.ok_or_else(detail)?);
            }
            _ => {
                return Err(refuse(format!(
                    "{name}: there is no such parameter; allowed are state, limit, cursor"
                )));
            }
        }
    }
    Ok(filter)
}

problems!(Listed: Unauthorized, InvalidRequest, Internal, NotReady);

problems!(Shown: Unauthorized, JobNotFound, Internal, NotReady);

problems!(Canceled: Unauthorized, JobNotFound, JobState, Internal, NotReady);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_what_is_wrong_in_them_is_named() {
        let read = filter("state=failed&limit=7&cursor=12").unwrap();
        assert_eq!((read.state, read.limit, read.before), (Some(JobState::Failed), 7, Some(12)));
        for (query, field) in [
            ("state=done", "state"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=ten", "limit"),
            ("cursor=-1", "cursor"),
            ("cursor=x", "cursor"),
            ("page=2", "page"),
        ] {
            let problem = filter(query).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field));
            assert!(problem.detail.contains("allowed"), "{}", problem.detail);
        }
    }
}
