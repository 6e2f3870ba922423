//! How requests to stores are sent: none waits for ever, all are counted, and a redirect leads to no private address.

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep, timeout};

/// A store that sends nothing for so long has stalled: the request is sent again. Stores answer within a second or
/// two even where they are busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes a second at which a body is sent at least.
const SLOWEST: u64 = 256 << 10;

/// What has passed between this process and stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent, each retry counted
    pub requests: u64,
    /// Requests without an answer, or with one of the server's faults (5xx, 429)
    pub failures: u64,
    /// Bytes of bodies received
    pub received: u64,
    /// Bytes of bodies sent
    pub sent: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    failures: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}

/// Makes watched clients: those of object_store, or another.
#[derive(Debug)]
pub(super) struct Connector {
    counters: Arc<Counters>,
    /// Instead of object_store's own
    client: Option<HttpClient>,
}

impl Connector {
    pub(super) fn new(counters: &Arc<Counters>) -> Connector {
        Connector { counters: counters.clone(), client: None }
    }

    pub(super) fn with_client(self, client: impl HttpService) -> Connector {
        Connector { client: Some(HttpClient::new(client)), ..self }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => ReqwestConnector::default().connect(options)?,
        };
        Ok(HttpClient::new(Watched { client, counters: self.counters.clone() }))
    }
}

#[derive(Debug)]
struct Watched {
    client: HttpClient,
    counters: Arc<Counters>,
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let count = |counter: &AtomicU64, by: u64| {
            counter.fetch_add(by, Ordering::Relaxed);
        };
        count(&self.counters.requests, 1);
        count(&self.counters.sent, request.body().content_length() as u64);
        // To put an upload together may take a store minutes; all else begins to be answered at once.
        let answer = match request.method().as_str() {
            "POST" => self.client.execute(request).await,
            _ => {
                let sending = Duration::from_secs(request.body().content_length() as u64 / SLOWEST);
                let answered = timeout(PATIENCE + sending, self.client.execute(request)).await;
                answered.unwrap_or_else(|_| Err(stalled()))
            }
        };
        let faulty =
            |answer: &HttpResponse| answer.status().is_server_error() || answer.status().as_u16() == 429;
        if answer.as_ref().map_or(true, faulty) {
            count(&self.counters.failures, 1);
        }
        let (parts, body) = answer?.into_parts();
        let body = WatchedBody { body, counters: self.counters.clone(), patience: Box::pin(sleep(PATIENCE)) };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

fn stalled() -> HttpError {
    let message = format!("the store sent nothing for {} seconds", PATIENCE.as_secs());
    HttpError::new(HttpErrorKind::Timeout, std::io::Error::other(message))
}

struct WatchedBody {
    body: HttpResponseBody,
    counters: Arc<Counters>,
    patience: Pin<Box<Sleep>>,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.counters.received.fetch_add(length, Ordering::Relaxed);
                self.patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
            }
            Poll::Ready(Some(Err(_))) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(None) => {}
            Poll::Pending => {
                if self.patience.as_mut().poll(context).is_ready() {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(stalled())));
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
