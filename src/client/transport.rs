//! HTTP beneath the client: addresses, tokens, retries, and problems turned back into errors.

use crate::error::{Code, Error, Result};
use crate::jobs::Problem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// No request waits for a job, so that each is answered soon.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Servers close connections that idle for longer, which goes unnoticed between two calls.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a request is sent again before it fails: a service starts anew in less.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Of an answer that is no problem document.
const QUOTED: usize = 200;

pub(super) struct Transport {
    http: reqwest::Client,
    runtime: Runtime,
    /// Without a slash at its end
    base: String,
    /// As the user gave it, for messages
    server: String,
    patience: Duration,
}

impl Transport {
    pub fn new(server: &str, token: Option<&str>) -> Result<Transport> {
        Transport::with(reqwest::Client::builder(), server, token)
    }

    /// The same through an HTTP client that was set up in part.
    pub fn with(builder: ClientBuilder, server: &str, token: Option<&str>) -> Result<Transport> {
        let refuse = || {
            Error::usage(format!(
                "server {server:?}: allowed are http://host:port, https://host and unix:///path/of/socket"
            ))
        };
        let mut builder = builder
            .user_agent(concat!("bioprune/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT);
        let base = match server.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => {
                builder = builder.unix_socket(path);
                "http://localhost".to_string()
            }
            Some(("http" | "https", _)) => {
                let url = url::Url::parse(server).map_err(|error| refuse().caused_by(error))?;
                if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
                    return Err(refuse());
                }
                url.as_str().trim_end_matches('/').to_string()
            }
            _ => return Err(refuse()),
        };
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Error::usage("the token holds characters that no header can hold"))?;
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        let failed = "cannot set up the HTTP client";
        let http = builder.build().map_err(|error| Error::internal(failed).caused_by(error))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal(failed).caused_by(error))?;
        Ok(Transport { http, runtime, base, server: server.to_string(), patience: PATIENCE })
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(&self.request(Method::GET, path))
    }

    /// Whether there is an answer in that time, to one request.
    pub fn get_once(&self, path: &str, patience: Duration) -> Result<()> {
        let request = self.request(Method::GET, path)().timeout(patience);
        match self.runtime.block_on(self.attempt::<IgnoredAny>(request)) {
            Attempt::Done(answer) => answer.map(|_| ()),
            Attempt::Again { error, .. } => Err(error),
        }
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        let request = self.request(Method::POST, path);
        match body {
            Some(body) => self.send(&|| request().json(body)),
            None => self.send(&request),
        }
    }

    fn request(&self, method: Method, path: &str) -> impl Fn() -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        move || self.http.request(method.clone(), &url)
    }

    /// Sends a request until it is answered for good or patience ends.
    fn send<T: DeserializeOwned>(&self, request: &dyn Fn() -> RequestBuilder) -> Result<T> {
        self.runtime.block_on(async {
            let deadline = Instant::now() + self.patience;
            let mut pause = FIRST_PAUSE;
            loop {
                let (error, asked) = match self.attempt(request()).await {
                    Attempt::Done(answer) => return answer,
                    Attempt::Again { error, after } => (error, after),
                };
                let wait = asked.unwrap_or(pause).min(LONGEST_PAUSE);
                if Instant::now() + wait > deadline {
                    return Err(error);
                }
                log::debug!("{error}; once more in {wait:?}");
                tokio::time::sleep(wait).await;
                pause = pause.mul_f64(2.0);
            }
        })
    }

    async fn attempt<T: DeserializeOwned>(&self, request: RequestBuilder) -> Attempt<T> {
        let unreachable = |error: reqwest::Error| Attempt::Again {
            // the address is in the message already, and the error would repeat it
            error: self.busy("cannot be reached").caused_by(error.without_url()),
            after: None,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                return Attempt::Done(Err(Error::internal("cannot write a request").caused_by(error)));
            }
            Err(error) => return unreachable(error),
        };
        let (status, after) = (response.status(), retry_after(&response));
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return unreachable(error),
        };
        if status.is_success() {
            let answer = serde_json::from_slice(&body);
            return Attempt::Done(answer.map_err(|error| {
                Error::internal(format!("server {} does not answer as bioprune does", self.server))
                    .caused_by(error)
            }));
        }
        let problem = serde_json::from_slice::<Problem>(&body).ok();
        let busy = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        // a proxy in front of a service that starts anew answers so
        let absent = status == StatusCode::BAD_GATEWAY && problem.is_none();
        if busy || absent {
            let why = problem.map_or_else(|| format!("answers {status}"), |problem| problem.detail);
            return Attempt::Again { error: self.busy(&format!("is busy: {why}")), after };
        }
        match problem {
            Some(problem) if problem.retryable => Attempt::Again { error: problem.into(), after },
            Some(problem) => Attempt::Done(Err(problem.into())),
            None => Attempt::Done(Err(self.unexpected(status, &body))),
        }
    }

    fn busy(&self, why: &str) -> Error {
        Error::new(Code::ServerBusy, format!("server {} {why}", self.server))
    }

    fn unexpected(&self, status: StatusCode, body: &[u8]) -> Error {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Unauthorized,
            StatusCode::FORBIDDEN => Code::Forbidden,
            StatusCode::NOT_FOUND => Code::ResourceNotFound,
            _ => Code::Internal,
        };
        let quoted = String::from_utf8_lossy(&body[..body.len().min(QUOTED)]).into_owned();
        Error::new(
            code,
            format!("server {} answers {status}, and not as bioprune does: {quoted:?}", self.server),
        )
    }
}

enum Attempt<T> {
    Done(Result<T>),
    Again { error: Error, after: Option<Duration> },
}

fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that gives each connection the next of these answers, and then is gone.
    fn serve(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    fn client(server: &str) -> Transport {
        Transport { patience: Duration::from_millis(700), ..Transport::new(server, None).unwrap() }
    }

    #[test]
    fn a_busy_service_is_asked_again() {
        let server = serve(&[
            "HTTP/1.1 503 Busy\r\nconnection: close\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 429 Full\r\nconnection: close\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n42",
        ]);
        assert_eq!(client(&server).get::<u32>("/").unwrap(), 42);
    }

    #[test]
    fn a_service_that_stays_away_is_busy() {
        for server in [serve(&[]), "unix:///does/not/exist".to_string()] {
            let error = client(&server).get::<u32>("/").unwrap_err();
            assert_eq!(error.code, Code::ServerBusy);
            assert_eq!(error.code.info().exit, 104);
            assert!(error.message.contains(&server), "{error}");
        }
    }

    #[test]
    fn what_is_no_bioprune_is_told_apart_from_a_fault_of_ours() {
        let server = serve(&[
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 11\r\n\r\nnginx says?",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>",
        ]);
        let client = client(&server);
        let error = client.get::<u32>("/").unwrap_err();
        assert_eq!(error.code, Code::ResourceNotFound);
        assert!(error.message.contains("nginx says?"), "{error}");
        assert!(client.get::<u32>("/").unwrap_err().message.contains("does not answer as bioprune"));
    }

    #[test]
    fn addresses_of_other_kinds_are_refused() {
        for server in
            ["localhost:8080", "ftp://h", "unix://relative", "http://", "http://key@h", "https://h/?a=b"]
        {
            assert_eq!(Transport::new(server, None).err().unwrap().code, Code::Usage, "{server}");
        }
        assert_eq!(Transport::new("http://h", Some("a\nb")).err().unwrap().code, Code::Usage);
        assert_eq!(Transport::new("https://h/prefix/", None).unwrap().base, "https://h/prefix");
    }
}
