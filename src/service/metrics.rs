//! Metrics in Prometheus' text form. Labels are bounded: routes as templates, known methods, stages, states.

use super::Service;
use super::problem::{blocking, problems};
use crate::error::{Error, Result};
use crate::jobs::{JobResult, Problem, Runner, Work};
use crate::pipeline::{CancelToken, Progress, ProgressSink, Stage};
use crate::process;
use crate::storage::Traffic;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, get, web};
use parking_lot::Mutex;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TEXT_FORMAT, TextEncoder,
};
use std::sync::Arc;
use std::time::Instant;

/// The label of requests that no endpoint took: their paths are without bound.
const NO_ROUTE: &str = "none";

#[derive(Clone)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    jobs: IntGaugeVec,
    records: IntCounterVec,
    tokens: IntCounterVec,
    tokens_per_second: Gauge,
    batch_fill: Gauge,
    queue_age_seconds: Gauge,
    resident_bytes: IntGauge,
    storage_requests: IntCounter,
    storage_failures: IntCounter,
    storage_bytes: IntCounterVec,
}

impl Metrics {
    pub fn new() -> Result<Metrics> {
        let build = || {
            let built = Metrics {
                registry: Registry::new(),
                requests: IntCounterVec::new(
                    Opts::new("bioprune_http_requests_total", "HTTP requests answered"),
                    &["method", "route", "status"],
                )?,
                request_seconds: HistogramVec::new(
                    HistogramOpts::new("bioprune_http_request_seconds", "Seconds until an answer began"),
                    &["method", "route"],
                )?,
                jobs: IntGaugeVec::new(Opts::new("bioprune_jobs", "Jobs by state"), &["state"])?,
                records: IntCounterVec::new(
                    Opts::new("bioprune_records_total", "Records done, by stage"),
                    &["stage"],
                )?,
                tokens: IntCounterVec::new(
                    Opts::new("bioprune_tokens_total", "Tokens done, by stage; each mask pass counts"),
                    &["stage"],
                )?,
                tokens_per_second: Gauge::new(
                    "bioprune_tokens_per_second",
                    "Tokens a second that the running job gets done in its stage; 0 where none runs",
                )?,
                batch_fill: Gauge::new(
                    "bioprune_batch_fill_ratio",
                    "Mean tokens of the running job's batches in its stage, as a share of max_batch_tokens",
                )?,
                queue_age_seconds: Gauge::new(
                    "bioprune_queue_age_seconds",
                    "Seconds since the job that is next in turn was asked for; 0 where none waits",
                )?,
                resident_bytes: IntGauge::new(
                    "process_resident_memory_bytes",
                    "Memory that the process holds, in bytes",
                )?,
                storage_requests: IntCounter::new(
                    "bioprune_storage_requests_total",
                    "Requests sent to stores, each retry counted",
                )?,
                storage_failures: IntCounter::new(
                    "bioprune_storage_failures_total",
                    "Requests to stores that failed by a fault of theirs and were sent again",
                )?,
                storage_bytes: IntCounterVec::new(
                    Opts::new("bioprune_storage_bytes_total", "Bytes read from and written to stores"),
                    &["direction"],
                )?,
            };
            built.registry.register(Box::new(built.requests.clone()))?;
            built.registry.register(Box::new(built.request_seconds.clone()))?;
            built.registry.register(Box::new(built.jobs.clone()))?;
            built.registry.register(Box::new(built.records.clone()))?;
            built.registry.register(Box::new(built.tokens.clone()))?;
            built.registry.register(Box::new(built.tokens_per_second.clone()))?;
            built.registry.register(Box::new(built.batch_fill.clone()))?;
            built.registry.register(Box::new(built.queue_age_seconds.clone()))?;
            built.registry.register(Box::new(built.resident_bytes.clone()))?;
            built.registry.register(Box::new(built.storage_requests.clone()))?;
            built.registry.register(Box::new(built.storage_failures.clone()))?;
            built.registry.register(Box::new(built.storage_bytes.clone()))?;
            Ok(built)
        };
        build().map_err(|error: prometheus::Error| Error::internal("cannot set up metrics").caused_by(error))
    }

    fn tell_traffic(&self, traffic: Traffic) {
        let raise = |counter: &IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
        raise(&self.storage_requests, traffic.requests);
        raise(&self.storage_failures, traffic.failures);
        raise(&self.storage_bytes.with_label_values(&["read"]), traffic.received);
        raise(&self.storage_bytes.with_label_values(&["written"]), traffic.sent);
    }

    /// The same engine, with what its jobs do counted.
    pub fn metered(&self, runner: Arc<dyn Runner>) -> Arc<dyn Runner> {
        Arc::new(MeteredRunner { metrics: self.clone(), runner })
    }
}

/// Speed and counts of the service, for Prometheus.
///
/// Names end in their unit: `_seconds`, `_bytes`, `_per_second`; those that end in `_total` only grow.
#[utoipa::path(
    tag = "service",
    operation_id = "metrics",
    responses(
        (status = 200, description = "Metrics in Prometheus' text form", body = String, content_type = "text/plain"),
        Refused
    ),
    security(("bearer" = []), ())
)]
#[get("/metrics")]
pub(super) async fn scrape(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let text = blocking(move || {
        for (state, count) in service.jobs.counts()? {
            service.metrics.jobs.with_label_values(&[state.name()]).set(count as i64);
        }
        let pace = service.jobs.pace()?;
        service.metrics.queue_age_seconds.set(pace.waiting.as_secs_f64());
        service.metrics.tokens_per_second.set(pace.tokens_per_second);
        service.metrics.batch_fill.set(pace.batch_fill);
        service.metrics.resident_bytes.set(process::resident().unwrap_or(0) as i64);
        service.metrics.tell_traffic(service.objects.traffic());
        TextEncoder::new()
            .encode_to_string(&service.metrics.registry.gather())
            .map_err(|error| Error::internal("cannot write metrics").caused_by(error))
    });
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text.await?))
}

problems!(Refused: Unauthorized, Internal, NotReady);

/// Middleware: counts requests and their time.
pub(super) async fn measure<B: MessageBody>(
    service: web::Data<Service>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let begun = Instant::now();
    let method = known_method(request.method());
    let route = request.match_pattern().unwrap_or_else(|| NO_ROUTE.to_string());
    service.activity.note(&route);
    let answer = next.call(request).await;
    service.activity.note(&route);
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    service.metrics.requests.with_label_values(&[method, &route, status.as_str()]).inc();
    service
        .metrics
        .request_seconds
        .with_label_values(&[method, &route])
        .observe(begun.elapsed().as_secs_f64());
    answer
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

struct MeteredRunner {
    metrics: Metrics,
    runner: Arc<dyn Runner>,
}

impl Runner for MeteredRunner {
    fn prepare(&self) -> Result<()> {
        self.runner.prepare()
    }

    fn run(&self, work: Work<'_>, progress: Arc<dyn ProgressSink>, cancel: CancelToken) -> Result<JobResult> {
        let metered = MeteredSink { metrics: self.metrics.clone(), sink: progress, last: Mutex::new(None) };
        self.runner.run(work, Arc::new(metered), cancel)
    }
}

/// Turns the growing counts of a stage into counters, and passes progress on.
struct MeteredSink {
    metrics: Metrics,
    sink: Arc<dyn ProgressSink>,
    /// The stage and its counts so far
    last: Mutex<Option<(Stage, u64, u64)>>,
}

impl ProgressSink for MeteredSink {
    fn update(&self, progress: &Progress) {
        let mut last = self.last.lock();
        let (records, tokens) = match *last {
            Some((stage, records, tokens)) if stage == progress.stage => (records, tokens),
            _ => (0, 0),
        };
        let stage = stage_name(progress.stage);
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        self.metrics.records.with_label_values(&[stage]).inc_by(grown(progress.records, records));
        self.metrics.tokens.with_label_values(&[stage]).inc_by(grown(progress.tokens, tokens));
        *last = Some((progress.stage, progress.records.max(records), progress.tokens.max(tokens)));
        drop(last);
        self.sink.update(progress);
    }

    fn committed(&self) {
        self.sink.committed();
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Scan => "scan",
        Stage::Adapt => "adapt",
        Stage::Curvature => "curvature",
        Stage::Score => "score",
        Stage::Select => "select",
        Stage::Embed => "embed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_counts_of_each_stage_add_up() {
        let metrics = Metrics::new().unwrap();
        let sink = MeteredSink { metrics: metrics.clone(), sink: Arc::new(()), last: Mutex::new(None) };
        for (stage, records, tokens) in [
            (Stage::Curvature, 2, 20),
            (Stage::Curvature, 5, 50),
            (Stage::Score, 3, 30),
            (Stage::Score, 2, 20), // two threads may tell in another order
            (Stage::Score, 8, 80),
        ] {
            let (total_records, input_share, batch_fill) = (None, None, Some(0.5));
            let seconds = 1.0;
            sink.update(&Progress {
                stage,
                records,
                total_records,
                input_share,
                tokens,
                seconds,
                batch_fill,
            });
        }
        let records = |stage| metrics.records.with_label_values(&[stage]).get();
        let tokens = |stage| metrics.tokens.with_label_values(&[stage]).get();
        assert_eq!((records("curvature"), tokens("curvature")), (5, 50));
        assert_eq!((records("score"), tokens("score")), (8, 80));
    }
}
