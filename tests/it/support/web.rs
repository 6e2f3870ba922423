//! A plain web server with one file, and redirects to it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Web {
    pub port: u16,
    /// The request line of every request, with its `Host`
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves `content` at `/rna.fa`; `/moved` leads there, and `/away` to it at 127.0.0.2.
    pub fn start(content: &[u8]) -> Web {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (content, asked) = (Arc::new(content.to_vec()), Arc::new(Mutex::new(Vec::new())));
        let told = asked.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (content, told) = (content.clone(), told.clone());
                std::thread::spawn(move || drop(serve(connection, &content, port, &told)));
            }
        });
        Web { port, asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn serve(
    mut connection: TcpStream,
    content: &[u8],
    port: u16,
    told: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    while let Some(request) = lines.next().transpose()? {
        let headers: Vec<String> =
            lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            let line = headers.iter().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            line.split_once(": ").map(|(_, value)| value.to_string())
        };
        told.lock().unwrap().push(format!("{request} {}", header("host:").unwrap_or_default()));
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let redirect =
            |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let (head, body) = match path {
            "/moved" => (redirect("/rna.fa"), &content[..0]),
            "/away" => (redirect(&format!("http://127.0.0.2:{port}/rna.fa")), &content[..0]),
            "/rna.fa" => {
                let range = header("range:").and_then(|range| {
                    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
                    Some(
                        start.parse::<usize>().ok()?
                            ..end.parse::<usize>().map_or(content.len(), |end| end + 1),
                    )
                });
                let (status, range, told) = match range {
                    Some(range) => {
                        let told = format!(
                            "Content-Range: bytes {}-{}/{}\r\n",
                            range.start,
                            range.end - 1,
                            content.len()
                        );
                        ("206 Partial Content", range, told)
                    }
                    None => ("200 OK", 0..content.len(), String::new()),
                };
                let length = range.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nETag: \"1\"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\n{told}Content-Length: {length}\r\n\r\n"
                );
                (head, &content[range])
            }
            _ => ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_string(), &content[..0]),
        };
        connection.write_all(head.as_bytes())?;
        if method != "HEAD" {
            connection.write_all(body)?;
        }
    }
    Ok(())
}
