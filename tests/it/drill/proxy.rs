//! A proxy before a store that fails a share of the requests, each in another way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 500, and the store does not see the request
    InternalError,
    /// 503 SlowDown, and the store does not see the request
    SlowDown,
    /// The store does its work, and the connection ends in the middle of the answer
    Cut,
    /// An answer that is whole in form, and lacks half of its bytes
    Truncated,
    /// Half of the answer, and then nothing for a long time
    Stall,
}

const FAULTS: [Fault; 5] =
    [Fault::InternalError, Fault::Cut, Fault::SlowDown, Fault::Truncated, Fault::Stall];
/// Longer than any client waits.
const FOR_EVER: Duration = Duration::from_secs(600);

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    store: u16,
    /// Every so many requests one fails
    every: u64,
    /// A stall takes a client's whole patience: so many at most
    stalls: AtomicU64,
    requests: AtomicU64,
    told: Mutex<BTreeMap<Fault, u64>>,
    /// One that needs an answer with a body, and met one without
    put_off: Mutex<Option<Fault>>,
    /// How requests begin that stall, and how many did
    held: Mutex<(Option<String>, u64)>,
}

impl Proxy {
    pub fn start(store: u16, every: u64, stalls: u64) -> Proxy {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            store,
            every,
            stalls: AtomicU64::new(stalls),
            requests: AtomicU64::new(0),
            told: Mutex::default(),
            put_off: Mutex::default(),
            held: Mutex::default(),
        });
        let serving = shared.clone();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = serving.clone();
                // a client that goes away ends its connection alone
                tokio::spawn(async move { drop(serve(client, &shared).await) });
            }
        });
        Proxy { port, shared, _runtime: runtime }
    }

    /// From now on requests that begin so, `PUT /bucket/key`, stall: the store does not see them, and no answer comes.
    pub fn hold(&self, beginning: String) {
        *self.shared.held.lock().unwrap() = (Some(beginning), 0);
    }

    /// How many requests stalled since.
    pub fn held(&self) -> u64 {
        self.shared.held.lock().unwrap().1
    }

    /// How many requests there were, and how many failed in which way.
    pub fn told(&self) -> (u64, BTreeMap<Fault, u64>) {
        (self.shared.requests.load(Ordering::Relaxed), self.shared.told.lock().unwrap().clone())
    }
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(fault) = self.put_off.lock().unwrap().take() {
            return Some(fault);
        }
        let turn = request / self.every;
        let fault = request.is_multiple_of(self.every).then(|| FAULTS[turn as usize % FAULTS.len()])?;
        let left = |stalls: u64| stalls.checked_sub(1);
        match fault {
            Fault::Stall if self.stalls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() => {
                None
            }
            fault => Some(fault),
        }
    }

    fn holds(&self, request: &Message) -> bool {
        let mut held = self.held.lock().unwrap();
        let holds = held.0.as_ref().is_some_and(|beginning| request.head.starts_with(beginning.as_bytes()));
        held.1 += u64::from(holds);
        holds
    }

    fn tell(&self, fault: Fault) {
        *self.told.lock().unwrap().entry(fault).or_default() += 1;
    }
}

/// The requests of one connection, until one fails or the client goes.
async fn serve(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    while let Some(request) = message(&mut client, false).await? {
        if shared.holds(&request) {
            let _ = tokio::time::timeout(FOR_EVER, client.read(&mut [0])).await;
            return Ok(());
        }
        let fault = shared.fault();
        if let Some(fault @ (Fault::InternalError | Fault::SlowDown)) = fault {
            shared.tell(fault);
            let (status, code) = match fault {
                Fault::InternalError => ("500 Internal Server Error", "InternalError"),
                _ => ("503 Slow Down", "SlowDown"),
            };
            let body = format!("<Error><Code>{code}</Code></Error>");
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            client.write_all((head + &body).as_bytes()).await?;
            continue;
        }
        let mut store = TcpStream::connect(("127.0.0.1", shared.store)).await?;
        store.write_all(&request.head).await?;
        store.write_all(&request.body).await?;
        let Some(answer) = message(&mut store, request.head.starts_with(b"HEAD ")).await? else {
            return Ok(());
        };
        let half = &answer.body[..answer.body.len() / 2];
        match fault {
            Some(Fault::Cut) => {
                shared.tell(Fault::Cut);
                // an answer without a body is lost whole
                if !half.is_empty() {
                    client.write_all(&answer.head).await?;
                    client.write_all(half).await?;
                }
                return Ok(());
            }
            Some(Fault::Stall) if !half.is_empty() => {
                shared.tell(Fault::Stall);
                client.write_all(&answer.head).await?;
                client.write_all(half).await?;
                // until the client has had enough
                let _ = tokio::time::timeout(FOR_EVER, client.read(&mut [0])).await;
                return Ok(());
            }
            Some(Fault::Truncated) if !half.is_empty() => {
                shared.tell(Fault::Truncated);
                let head = String::from_utf8_lossy(&answer.head);
                let length =
                    |line: &&str| !starts_with(line, "content-length:") && !starts_with(line, "transfer-");
                let lines: Vec<&str> = head.trim_end().lines().filter(length).collect();
                let head = format!("{}\r\nContent-Length: {}\r\n\r\n", lines.join("\r\n"), half.len());
                client.write_all(head.as_bytes()).await?;
                client.write_all(half).await?;
            }
            rest => {
                if let Some(fault) = rest {
                    *shared.put_off.lock().unwrap() = Some(fault);
                }
                client.write_all(&answer.head).await?;
                client.write_all(&answer.body).await?;
            }
        }
    }
    Ok(())
}

struct Message {
    head: Vec<u8>,
    /// As on the wire, chunk lengths included
    body: Vec<u8>,
}

fn starts_with(line: &str, name: &str) -> bool {
    line.to_ascii_lowercase().starts_with(name)
}

/// The next request or answer; none where the connection ends before it.
async fn message(from: &mut TcpStream, without_body: bool) -> std::io::Result<Option<Message>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if from.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
        // the store says that it waits for the body, which it gets in any case
        if head.ends_with(b"\r\n\r\n") && head.starts_with(b"HTTP/1.1 100") {
            head.clear();
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let line = text.lines().find(|line| starts_with(line, name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_string())
    };
    let mut body = Vec::new();
    let bodiless = without_body || text.starts_with("HTTP/1.1 204") || text.starts_with("HTTP/1.1 304");
    match header("content-length:") {
        _ if bodiless => {}
        Some(length) => {
            body = vec![0; length.parse().unwrap()];
            from.read_exact(&mut body).await?;
        }
        None if header("transfer-encoding:").is_some() => {
            while !body.ends_with(b"0\r\n\r\n") {
                let mut byte = [0];
                from.read_exact(&mut byte).await?;
                body.push(byte[0]);
            }
        }
        None => {}
    }
    Ok(Some(Message { head, body }))
}
