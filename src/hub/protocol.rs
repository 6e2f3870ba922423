//! The hub's HTTP: what a repository holds, where a file's bytes are, and what its refusals mean.

use super::settings::Settings;
use super::{ModelId, cache};
use crate::error::{Error, Result};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the next bytes of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A moved repository redirects within the hub.
const MAX_REDIRECTS: usize = 5;

pub(super) struct Protocol {
    http: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
}

/// A repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub commit: String,
    pub files: Vec<String>,
}

/// One version of a file.
#[derive(Debug)]
pub(super) struct FileInfo {
    /// Names the content: a SHA-256 for large files, a git hash for small ones
    pub etag: String,
    pub size: Option<u64>,
    /// Where the bytes are, which may be on another host
    pub url: Url,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The network or the server failed: worth another try, and the cache may serve instead
    Unreachable(Error),
    /// The hub has answered: there is no use in asking again
    Refused(Error),
}

#[derive(Deserialize)]
struct ModelReply {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Protocol {
    pub fn new(settings: &Settings) -> Result<Protocol> {
        let http = Client::builder()
            .user_agent(concat!("bioprune/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // followed here, so that the token goes to the hub alone
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| Error::internal("cannot set up the HTTP client").caused_by(error))?;
        let token = settings.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Error::usage("the hub's token holds characters that no header can hold"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        Ok(Protocol { http, endpoint: settings.endpoint.clone(), token: token.transpose()? })
    }

    /// The commit of the model's revision, and the names of the files in it.
    pub async fn listing(&self, id: &ModelId) -> Result<Listing, Failure> {
        let revision = id.revision().replace('/', "%2F");
        let url = self.url(&format!("api/models/{}/revision/{revision}", id.repository()))?;
        let (response, _) = self.ask(Method::GET, url, id, None).await?;
        let reply: ModelReply = response.json().await.map_err(|error| self.unreachable(id, error))?;
        let files: Vec<String> = reply.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        match cache::is_commit(&reply.sha) {
            true => Ok(Listing { commit: reply.sha, files }),
            false => Err(refused(format!("model {id}: the hub names its commit {:?}", reply.sha))),
        }
    }

    /// What a file of a commit is, and where.
    pub async fn file(&self, id: &ModelId, commit: &str, name: &str) -> Result<FileInfo, Failure> {
        let url = self.url(&format!("{}/resolve/{commit}/{name}", id.repository()))?;
        let (response, url) = self.ask(Method::HEAD, url, id, Some(name)).await?;
        let header = |names: &[&str]| {
            names.iter().find_map(|name| response.headers().get(*name)?.to_str().ok()).map(str::to_string)
        };
        let etag = header(&["x-linked-etag", ETAG.as_str()]).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_string();
        if etag.is_empty() || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Err(refused(format!("model {id}, file {name}: the hub names its content {etag:?}")));
        }
        let target = header(&[LOCATION.as_str()]).and_then(|target| url.join(&target).ok());
        let own_size = if target.is_none() { header(&[CONTENT_LENGTH.as_str()]) } else { None };
        let size = header(&["x-linked-size"]).or(own_size).and_then(|size| size.parse().ok());
        Ok(FileInfo { etag, size, url: target.unwrap_or(url) })
    }

    /// A file's bytes from `offset` on, or all of them where the server does not do ranges.
    pub async fn bytes(
        &self,
        id: &ModelId,
        name: &str,
        info: &FileInfo,
        offset: u64,
    ) -> Result<Response, Failure> {
        let mut url = info.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.request(Method::GET, &url);
            if offset > 0 {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            let response = request.send().await.map_err(|error| self.unreachable(id, error))?;
            match redirected(&url, &response) {
                Some(target) => url = target,
                None => return self.checked(response, id, Some(name)),
            }
        }
        Err(refused(format!("model {id}, file {name}: more than {MAX_REDIRECTS} redirects")))
    }

    /// Asks the hub itself; the answer may be a redirect to another host, which is not followed.
    async fn ask(
        &self,
        method: Method,
        mut url: Url,
        id: &ModelId,
        file: Option<&str>,
    ) -> Result<(Response, Url), Failure> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .request(method.clone(), &url)
                // a size is that of the file, not of its compressed form
                .header(ACCEPT_ENCODING, "identity")
                .send()
                .await
                .map_err(|error| self.unreachable(id, error))?;
            match redirected(&url, &response) {
                Some(target)
                    if target.origin() == self.endpoint.origin() && !is_content(response.headers()) =>
                {
                    url = target;
                }
                Some(_) if method == Method::HEAD => return Ok((response, url)),
                Some(target) => {
                    return Err(refused(format!("model {id}: {url} redirects to {target}, another host")));
                }
                None => return Ok((self.checked(response, id, file)?, url)),
            }
        }
        Err(refused(format!("model {id}: more than {MAX_REDIRECTS} redirects from {}", self.endpoint)))
    }

    /// A request that bears the token if it goes to the hub.
    fn request(&self, method: Method, url: &Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url.clone());
        match &self.token {
            Some(token) if url.origin() == self.endpoint.origin() => {
                request.header(reqwest::header::AUTHORIZATION, token.clone())
            }
            _ => request,
        }
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let text = format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| refused(format!("{text}: {error}")))
    }

    pub fn unreachable(&self, id: &ModelId, error: reqwest::Error) -> Failure {
        let host = self.endpoint.origin().ascii_serialization();
        // the address may be a signed one, which is a secret
        let error = error.without_url();
        Failure::Unreachable(
            Error::model(format!("model {id}: the hub at {host} cannot be reached, or broke off"))
                .caused_by(error),
        )
    }

    /// The response, if it is one of success.
    fn checked(&self, response: Response, id: &ModelId, file: Option<&str>) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let host = self.endpoint.origin().ascii_serialization();
        let what = file.map_or_else(|| format!("model {id}"), |file| format!("model {id}, file {file}"));
        if status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
        {
            return Err(Failure::Unreachable(Error::model(format!(
                "{what}: the hub at {host} answers {status}"
            ))));
        }
        let code =
            response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
        let reason = match (code, status) {
            ("GatedRepo", _) => format!(
                "its authors give access on request: ask at {host}/{}, and set HF_TOKEN",
                id.repository()
            ),
            ("RevisionNotFound", _) => format!("it has no revision {:?}", id.revision()),
            ("EntryNotFound", _) => "there is no such file".to_string(),
            // without a token the hub does not tell a private model from none
            ("RepoNotFound", _) | (_, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
                if self.token.is_none() =>
            {
                format!("there is no such model at {host}, or it is private: then set HF_TOKEN")
            }
            (_, StatusCode::UNAUTHORIZED) if code.is_empty() => format!("{host} refuses the token"),
            ("RepoNotFound", _) | (_, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => {
                format!("there is no such model at {host}, or the token may not read it")
            }
            _ => format!("{host} answers {status}"),
        };
        Err(refused(format!("{what}: {reason}")))
    }
}

/// Where a response redirects to.
fn redirected(url: &Url, response: &Response) -> Option<Url> {
    let target = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    url.join(target.to_str().ok()?).ok()
}

/// Whether an answer tells of a file's content, so that its redirect leads to the bytes.
fn is_content(headers: &HeaderMap) -> bool {
    headers.contains_key("x-linked-etag")
}

fn refused(message: String) -> Failure {
    Failure::Refused(Error::model(message))
}
