//! A service on a free port, with an engine and a storage that do as the test says, and a client that holds every
//! answer to the OpenAPI document.

use bioprune::error::{Code, Error, Result};
use bioprune::jobs::{Job, JobRequest, JobResult, Objects, Runner, Work};
use bioprune::pipeline::{CancelToken, Progress, ProgressSink, SelectSummary, Stage};
use bioprune::service::{Application, ServeOptions, StopHandle};
use bioprune::storage::ObjectInfo;
use clap::Parser;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any step takes on a busy machine; never waited for to its end in a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: ServeOptions,
}

/// The options of `bioprune serve`, on a free port, with these flags too.
pub fn options(data_dir: &Path, flags: &[&str]) -> ServeOptions {
    let data_dir = data_dir.to_str().unwrap();
    let fixed = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir];
    Flags::parse_from(fixed.iter().chain(flags)).options
}

/// Storage with objects of the names that it was given; `s3://down/` never answers.
#[derive(Default)]
pub struct FakeStorage(Mutex<BTreeMap<String, String>>);

impl FakeStorage {
    pub fn put(&self, location: &str, etag: &str) {
        self.0.lock().unwrap().insert(location.to_string(), etag.to_string());
    }
}

impl Objects for FakeStorage {
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>> {
        if location.starts_with("s3://down/") {
            return Err(Error::storage(format!("{location}: no answer")));
        }
        let etag = self.0.lock().unwrap().get(location).cloned();
        let etag =
            etag.ok_or_else(|| Error::new(Code::InputNotFound, format!("{location} does not exist")))?;
        Ok(vec![ObjectInfo { location: location.parse()?, size: 1, etag: Some(etag) }])
    }

    fn exists(&self, location: &str) -> Result<bool> {
        match self.list(location) {
            Ok(_) => Ok(true),
            Err(error) if error.code == Code::InputNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Runs selections as their output says: below `s3://b/wait` until canceled, below `s3://b/fail` to an error.
#[derive(Default)]
pub struct FakeEngine {
    pub storage: Arc<FakeStorage>,
    /// The model is still being loaded
    pub loading: AtomicBool,
}

impl Runner for FakeEngine {
    fn prepare(&self) -> Result<()> {
        while self.loading.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn run(&self, work: Work<'_>, progress: Arc<dyn ProgressSink>, cancel: CancelToken) -> Result<JobResult> {
        let JobRequest::Select(request) = work.request else { panic!("tests submit selections") };
        progress.update(&Progress {
            stage: Stage::Select,
            records: 5,
            total_records: Some(10),
            input_share: None,
            tokens: 50,
            seconds: 1.0,
            batch_fill: None,
        });
        if request.output.starts_with("s3://b/fail") {
            return Err(Error::bad_input("s3://b/scores.parquet, record 3: no influence"));
        }
        while request.output.starts_with("s3://b/wait") {
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        self.storage.put(&format!("{}manifest.json", request.output), "m");
        Ok(JobResult::Select(SelectSummary {
            output: request.output.clone(),
            pool: 10,
            pool_residues: 100,
            kept: 1,
            kept_residues: 10,
            warnings: Vec::new(),
            seconds: 0.0,
        }))
    }
}

/// A service that runs until it is dropped.
pub struct Service {
    pub url: String,
    pub engine: Arc<FakeEngine>,
    pub document: Value,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    stop: StopHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A response, read.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn job(&self) -> Job {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem document, held to the table of codes.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        let code = problem["code"].as_str().unwrap();
        let info = Code::from_name(code).unwrap().info();
        assert_eq!(problem["type"], format!("urn:bioprune:problem:{code}"));
        assert_eq!(problem["title"], info.title);
        assert_eq!((&problem["status"], self.status), (&json!(info.status), info.status));
        assert_eq!(problem["retryable"], info.retryable);
        assert_eq!(!self.header("retry-after").is_empty(), info.retryable);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (self.status, code.to_string())
    }
}

impl Service {
    /// A service with a fake engine, and scores at `s3://b/scores.parquet`.
    pub fn start(flags: &[&str]) -> (Service, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Service::start_in(directory.path(), flags), directory)
    }

    pub fn start_in(directory: &Path, flags: &[&str]) -> Service {
        let engine = Arc::new(FakeEngine::default());
        engine.storage.put("s3://b/scores.parquet", "1");
        Service::start_with(directory, flags, engine)
    }

    pub fn start_with(directory: &Path, flags: &[&str], engine: Arc<FakeEngine>) -> Service {
        let (storage, runner) = (engine.storage.clone(), engine.clone());
        Service::spawn(options(directory, flags), engine, move |options| {
            Application::build_with(options, storage, runner)
        })
    }

    /// The service as `bioprune serve` runs it.
    pub fn start_real(directory: &Path, flags: &[&str]) -> Service {
        Service::spawn(options(directory, flags), Arc::default(), Application::build)
    }

    fn spawn(
        options: ServeOptions,
        engine: Arc<FakeEngine>,
        build: impl FnOnce(&ServeOptions) -> Result<Application> + Send + 'static,
    ) -> Service {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let application = build(&options).unwrap();
                sender.send((application.url(), application.stop_handle())).unwrap();
                application.run().await.unwrap();
            });
        });
        let (url, stop) = receiver.recv().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // the runtime sleeps between requests, and would not notice that a connection was closed
        let http = reqwest::Client::builder().pool_max_idle_per_host(0);
        let http = http.redirect(reqwest::redirect::Policy::none()).no_proxy();
        let document = serde_json::from_str(&bioprune::service::openapi_json()).unwrap();
        let http = http.build().unwrap();
        Service { url, engine, document, http, runtime, stop, thread: Some(thread) }
    }

    /// Ends the service as SIGTERM does.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[])
    }

    pub fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("POST", path, &headers, Some(body.to_string()))
    }

    /// Sends a request; its answer must be one that the document tells of.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        let answer = self.runtime.block_on(async {
            let url = format!("{}{path}", self.url);
            let mut request = self.http.request(method.parse().unwrap(), url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.body(body);
            }
            let response = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, text: response.text().await.unwrap() }
        });
        self.is_documented(method, path, &answer);
        answer
    }

    fn is_documented(&self, method: &str, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        let matches = |template: &str| {
            let (parts, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            parts.len() == given.len()
                && parts.iter().zip(&given).all(|(part, given)| part.starts_with('{') || part == given)
        };
        let Some((template, item)) =
            self.document["paths"].as_object().unwrap().iter().find(|(template, _)| matches(template))
        else {
            return;
        };
        let Some(operation) = item.get(method.to_lowercase()) else { return };
        let told = &operation["responses"][answer.status.to_string()];
        assert!(told.is_object(), "{method} {template} answered {}, which is not documented", answer.status);
        if answer.status == 204 {
            assert!(told["content"].is_null(), "{method} {template}: 204 has no content");
            return;
        }
        let media_type = answer.header("content-type").split(';').next().unwrap();
        assert!(
            told["content"][media_type].is_object(),
            "{method} {template}: {media_type} is not documented"
        );
    }

    /// Asks until a job is in a state.
    pub fn wait_for(&self, id: &str, state: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.get(&format!("/v1/jobs/{id}")).json();
            if job["state"] == state {
                return job;
            }
            assert!(Instant::now() < deadline, "job {id} is still {}", job["state"]);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks until the service is ready.
    pub fn wait_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").status != 200 {
            assert!(Instant::now() < deadline, "not ready: {}", self.get("/readyz").text);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// The body of a selection that writes below `s3://b/`.
pub fn selection(output: &str) -> Value {
    json!({"scores": ["s3://b/scores.parquet"], "output": format!("s3://b/{output}/"), "keep": "10%"})
}

/// The id in an answer.
pub fn id(answer: &Answer) -> String {
    answer.job().id.to_string()
}
