//! Bearer tokens: who may use the service.

use super::Service;
use crate::error::{Code, Error, Result};
use crate::jobs::Problem;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web;
use sha2::{Digest, Sha256};
use std::path::Path;
use subtle::ConstantTimeEq;

/// The digests of the tokens that are valid; without any, every request is.
#[derive(Clone, Default)]
pub(super) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// Reads a file of one token a line.
    ///
    /// # Errors
    /// `usage` where it cannot be read or holds none: that would leave the service open.
    pub fn read(path: &Path) -> Result<Tokens> {
        let content = std::fs::read_to_string(path).map_err(|error| {
            Error::usage(format!("cannot read the token file {}", path.display())).caused_by(error)
        })?;
        let tokens: Vec<_> =
            content.lines().map(str::trim).filter(|line| !line.is_empty()).map(digest).collect();
        if tokens.is_empty() {
            return Err(Error::usage(format!("the token file {} holds no token", path.display())));
        }
        Ok(Tokens(tokens))
    }

    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares digests, each in the same time and all of them: the time tells nothing about a token.
    fn accept(&self, token: &str) -> bool {
        let shown = digest(token);
        self.0.iter().fold(false, |found, known| found | bool::from(known.ct_eq(&shown)))
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Health checks and the documentation tell nothing of the data.
fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/openapi.json" | "/docs") || path.starts_with("/docs/")
}

/// Middleware: lets a request with a valid token through.
pub(super) async fn authenticate<B: MessageBody>(
    service: web::Data<Service>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if service.tokens.is_open() || is_public(request.path()) {
        return next.call(request).await;
    }
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let detail = match shown.and_then(|value| value.split_once(' ')) {
        None => "the header Authorization: Bearer TOKEN is missing",
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            if service.tokens.accept(token.trim()) {
                return next.call(request).await;
            }
            "the token is not valid"
        }
        Some(_) => "the header Authorization must be of the kind Bearer",
    };
    Err(Problem::new(Code::Unauthorized, detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn each_line_is_a_token() {
        let tokens = Tokens::read(file("first\r\n\n second \n").path()).unwrap();
        assert!(tokens.accept("first") && tokens.accept("second"));
        assert!(!tokens.accept("") && !tokens.accept("firs") && !tokens.accept("first\nsecond"));
    }

    #[test]
    fn a_file_without_tokens_does_not_open_the_service() {
        assert_eq!(Tokens::read(file("\n  \n").path()).err().unwrap().code, Code::Usage);
        assert_eq!(Tokens::read(Path::new("/does/not/exist")).err().unwrap().code, Code::Usage);
    }

    #[test]
    fn only_health_and_documentation_are_public() {
        for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/index.html"] {
            assert!(is_public(path), "{path}");
        }
        for path in ["/metrics", "/v1/jobs", "/docsx", "/openapi.json/x", "/"] {
            assert!(!is_public(path), "{path}");
        }
    }
}
