//! `bioprune serve` as a process of its own, which can be killed and started again, and what it said.

use reqwest::Method;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any step takes on a busy machine; never waited for to its end in a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// How a service is started.
#[derive(Clone, Default)]
pub struct Launch {
    pub flags: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

impl Launch {
    pub fn new(data_dir: &Path, flags: &[&str]) -> Launch {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--data-dir"];
        let data_dir = data_dir.to_str().unwrap();
        let flags = fixed.iter().chain([&data_dir]).chain(flags).map(|flag| flag.to_string()).collect();
        Launch { flags, environment: Vec::new() }
    }

    pub fn with(mut self, environment: &[(&'static str, String)]) -> Launch {
        self.environment.extend_from_slice(environment);
        self
    }

    pub fn start(&self) -> Service {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bioprune"))
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut early = Vec::new();
        let url = loop {
            let line = lines.next().unwrap_or_else(|| panic!("ended at its start: {early:#?}"));
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_string();
            }
            early.push(line);
        };
        let said = Arc::new(Mutex::new(early));
        std::thread::spawn({
            let said = said.clone();
            move || lines.for_each(|line| said.lock().unwrap().push(line))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // the runtime sleeps between requests, and would not notice that a connection was closed
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap();
        Service { child, url, said, runtime, http }
    }
}

/// A running service; killed when it is dropped.
pub struct Service {
    child: Child,
    pub url: String,
    said: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Service {
    /// SIGKILL; gives what it said.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said()
    }

    /// SIGTERM; gives the exit status and what it said.
    pub fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        let status = self.child.wait().unwrap().code();
        (status, self.said())
    }

    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Status and body.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> (u16, String) {
        self.runtime.block_on(async {
            let mut request = self.http.request(method, format!("{}{path}", self.url));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let response = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.call(Method::GET, path, &[], None)
    }

    /// Submits a job; gives its id.
    pub fn submit(&self, path: &str, body: &Value) -> String {
        let (status, text) = self.call(Method::POST, path, &[], Some(body));
        assert!(matches!(status, 200 | 202), "{status}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_string()
    }

    pub fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/v1/jobs/{id}")).1).unwrap()
    }

    /// Asks until the job is as wanted.
    pub fn wait(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.job(id);
            if wanted(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "still {job}\n{:#?}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the job has ended, and in this state.
    pub fn wait_ended(&self, id: &str, state: &str) -> Value {
        let ended = |job: &Value| !matches!(job["state"].as_str(), Some("queued" | "running"));
        let job = self.wait(id, ended);
        assert_eq!(job["state"], state, "{job}\n{:#?}", self.said());
        job
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
