//! A small hub: the part of the Hugging Face Hub's HTTP that fetching a model needs, and a host of its own for bytes.

use actix_web::http::header::{CONTENT_RANGE, ETAG, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer, body::SizedStream, dev::ServerHandle,
    web,
};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub holds, and how it misbehaves.
#[derive(Clone, Default)]
pub struct Holdings {
    pub repository: String,
    /// Small files are sent by the hub itself, those named `*.safetensors` by the host of bytes
    pub files: BTreeMap<String, Vec<u8>>,
    /// Wanted of whoever asks
    pub token: Option<String>,
    /// Of a large file so many bytes are sent before the connection breaks, each time that it is asked for
    pub breaks_after: Option<usize>,
    /// Large files come with a byte turned
    pub corrupt: bool,
    /// Refused for this reason, as the hub words it
    pub error_code: Option<&'static str>,
}

/// What was asked: method, path, and the headers that matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub request: String,
    pub token: Option<String>,
    pub range: Option<String>,
}

struct State {
    holdings: Holdings,
    asked: Arc<Mutex<Vec<Asked>>>,
    bytes_at: String,
}

/// A hub that runs until it is dropped.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    handles: Vec<ServerHandle>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(holdings: Holdings) -> Server {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = channel();
        let log = asked.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let hosts: Vec<_> =
                    (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
                let urls: Vec<String> =
                    hosts.iter().map(|host| format!("http://{}", host.local_addr().unwrap())).collect();
                let state = Data::new(State { holdings, asked: log, bytes_at: urls[1].clone() });
                let mut hosts = hosts.into_iter();
                let (hub_state, bytes_state) = (state.clone(), state);
                let hub = HttpServer::new(move || {
                    App::new().app_data(hub_state.clone()).default_service(web::to(hub))
                })
                .workers(1)
                .disable_signals()
                .listen(hosts.next().unwrap())
                .unwrap()
                .run();
                let bytes = HttpServer::new(move || {
                    App::new().app_data(bytes_state.clone()).default_service(web::to(bytes))
                })
                .workers(1)
                .disable_signals()
                .listen(hosts.next().unwrap())
                .unwrap()
                .run();
                sender.send((urls[0].clone(), vec![hub.handle(), bytes.handle()])).unwrap();
                let (hub, bytes) = futures::join!(hub, bytes);
                hub.and(bytes).unwrap();
            });
        });
        let (url, handles) = receiver.recv().unwrap();
        Server { url, asked, handles, thread: Some(thread) }
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for handle in &self.handles {
            drop(handle.stop(false));
        }
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn note(request: &HttpRequest, state: &State) -> Asked {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_string());
    let asked = Asked {
        request: format!("{} {}", request.method(), request.path()),
        token: header("authorization"),
        range: header("range"),
    };
    state.asked.lock().unwrap().push(asked.clone());
    asked
}

fn error(status: StatusCode, code: &str) -> HttpResponse {
    HttpResponse::build(status).insert_header(("X-Error-Code", code)).finish()
}

async fn hub(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let asked = note(&request, &state);
    let holdings = &state.holdings;
    if let Some(code) = holdings.error_code {
        let status = if code == "GatedRepo" { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        return error(status, code);
    }
    let wanted = holdings.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && asked.token != wanted {
        return error(StatusCode::UNAUTHORIZED, "RepoNotFound");
    }
    if request.path() == "/api/models/old/name/revision/main" {
        let moved = format!("/api/models/{}/revision/main", holdings.repository);
        return HttpResponse::TemporaryRedirect().insert_header((LOCATION, moved)).finish();
    }
    if let Some(revision) =
        request.path().strip_prefix(&format!("/api/models/{}/revision/", holdings.repository))
    {
        if !["main", "v1", COMMIT].contains(&revision) {
            return error(StatusCode::NOT_FOUND, "RevisionNotFound");
        }
        let siblings: Vec<_> =
            holdings.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        return HttpResponse::Ok().json(serde_json::json!({"sha": COMMIT, "siblings": siblings}));
    }
    let resolve = [holdings.repository.as_str(), "old/name"].map(|name| format!("/{name}/resolve/{COMMIT}/"));
    let name = resolve.iter().find_map(|prefix| request.path().strip_prefix(prefix.as_str()));
    let Some((name, data)) = name.and_then(|name| Some((name, holdings.files.get(name)?))) else {
        return error(StatusCode::NOT_FOUND, if name.is_some() { "EntryNotFound" } else { "RepoNotFound" });
    };
    if name.ends_with(".safetensors") {
        let sha256: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
        return HttpResponse::Found()
            .insert_header(("X-Repo-Commit", COMMIT))
            .insert_header(("X-Linked-Etag", format!("\"{sha256}\"")))
            .insert_header(("X-Linked-Size", data.len()))
            .insert_header((LOCATION, format!("{}/{name}?signature=secret", state.bytes_at)))
            .finish();
    }
    let etag = format!("W/\"git{}\"", data.len());
    let (mut response, part) = part(data.clone(), asked.range.as_deref());
    response.insert_header((ETAG, etag)).insert_header(("X-Repo-Commit", COMMIT));
    match request.method() {
        &Method::HEAD => {
            let nothing = futures::stream::empty::<Result<Bytes, std::io::Error>>();
            response.body(SizedStream::new(part.len() as u64, nothing))
        }
        _ => response.body(part),
    }
}

/// The part of a file that a request asks for, `bytes=FIRST-` or `bytes=FIRST-LAST`, and how its answer begins.
fn part(mut data: Vec<u8>, range: Option<&str>) -> (HttpResponseBuilder, Vec<u8>) {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return (HttpResponse::Ok(), data);
    };
    let whole = data.len();
    let end = last.parse::<usize>().map_or(whole, |last| whole.min(last + 1));
    data.truncate(end);
    let part = data.split_off(first.parse::<usize>().map_or(0, |first| first.min(end)));
    let content = format!("bytes {first}-{}/{whole}", end.saturating_sub(1));
    let mut response = HttpResponse::PartialContent();
    response.insert_header((CONTENT_RANGE, content));
    (response, part)
}

/// The host to which the hub redirects for large files.
async fn bytes(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let asked = note(&request, &state);
    let holdings = &state.holdings;
    let Some(data) = holdings.files.get(request.path().trim_start_matches('/')) else {
        return HttpResponse::NotFound().finish();
    };
    let mut data = data.clone();
    if holdings.corrupt {
        let last = data.len() - 1;
        data[last] ^= 1;
    }
    let (mut response, rest) = part(data, asked.range.as_deref());
    let length = rest.len() as u64;
    let sent = holdings.breaks_after.filter(|limit| *limit < rest.len());
    let first = Bytes::copy_from_slice(&rest[..sent.unwrap_or(rest.len())]);
    let sending = futures::stream::iter([Ok(first)]);
    let breaking = futures::stream::iter(sent).then(|_| async {
        // what was sent before has to leave first
        actix_web::rt::time::sleep(Duration::from_millis(100)).await;
        Err(std::io::Error::other("the connection breaks"))
    });
    response.body(SizedStream::new(length, Box::pin(sending.chain(breaking))))
}
