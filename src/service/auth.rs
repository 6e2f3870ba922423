//! Bearer tokens: who may use the service, and what each may touch.

use super::Service;
use super::scope::{Grant, Scope};
use crate::digest::sha256;
use crate::error::{Code, Error, Result};
use crate::jobs::{Job, JobRequest, Origin, Problem};
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The tokens that are valid; without any, every request is.
#[derive(Clone, Default)]
pub(super) struct Tokens(Vec<Token>);

/// A token, of which the SHA-256 alone is known.
#[derive(Clone)]
struct Token {
    digest: [u8; 32],
    caller: Caller,
}

/// Who sent a request.
#[derive(Clone, Default)]
pub(super) struct Caller(Arc<Identity>);

#[derive(Default)]
struct Identity {
    /// The first digits of the token's digest; empty where no token is needed
    name: String,
    /// Absent: all that the operator allows
    scope: Option<(Scope, Grant)>,
}

/// Digits of a digest that tell callers apart.
const NAME_DIGITS: usize = 16;
const PREFIX: &str = "sha256:";

/// The line of a token file that lets a bearer of this token touch all that the operator allows.
pub fn token_line(token: &str) -> String {
    format!("{PREFIX}{}\n", sha256(token))
}

impl Tokens {
    /// Reads a token file: on each line `sha256:` with the digest of a token, then `read=PREFIX` and `write=PREFIX` for
    /// what its bearer may touch, each as often as need be; without any of these, all that the operator allows. Blank
    /// lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// `usage` where it cannot be read or holds no token: that would leave the service open.
    pub fn read(path: &Path) -> Result<Tokens> {
        let wrong = |why: String| Error::usage(format!("the token file {}{why}", path.display()));
        let content = std::fs::read_to_string(path)
            .map_err(|error| wrong(" cannot be read".to_string()).caused_by(error))?;
        let lines = (1..).zip(content.lines().map(str::trim));
        let tokens = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| {
                Token::parse(line).map_err(|error| wrong(format!(", line {number}: {error}")))
            })
            .collect::<Result<Vec<_>>>()?;
        if tokens.is_empty() {
            return Err(wrong(" holds no token".to_string()));
        }
        Ok(Tokens(tokens))
    }

    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares digests, each in the same time and all of them: the time tells nothing about a token.
    fn accept(&self, token: &str) -> Option<Caller> {
        let shown: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.0.iter().fold(None, |found, known| match bool::from(known.digest.ct_eq(&shown)) {
            true => Some(known.caller.clone()),
            false => found,
        })
    }
}

impl Token {
    /// Never repeats the line: it may hold a token by mistake.
    fn parse(line: &str) -> Result<Token> {
        let mut words = line.split_whitespace();
        let hex = words.next().and_then(|word| word.strip_prefix(PREFIX)).unwrap_or_default();
        let digest = digest(hex).ok_or_else(|| {
            Error::usage(
                "allowed is sha256: with 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them, \
                 then read=PREFIX or write=PREFIX",
            )
        })?;
        let mut scope = Scope::default();
        for word in words {
            match word.split_once('=') {
                Some(("read", prefix)) => scope.read.push(prefix.to_string()),
                Some(("write", prefix)) => scope.write.push(prefix.to_string()),
                _ => return Err(Error::usage("after the digest allowed are read=PREFIX and write=PREFIX")),
            }
        }
        let scope = match scope == Scope::default() {
            true => None,
            false => Some((scope.clone(), scope.grant()?)),
        };
        let name = hex[..NAME_DIGITS].to_ascii_lowercase();
        Ok(Token { digest, caller: Caller(Arc::new(Identity { name, scope })) })
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

impl Caller {
    /// Tells callers apart, and nothing else of them.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn grant(&self) -> Option<&Grant> {
        self.0.scope.as_ref().map(|(_, grant)| grant)
    }

    /// What is kept with a job of this caller's.
    pub fn origin(&self, trace: Option<String>) -> Result<Origin> {
        let scope = self.0.scope.as_ref().map(|(scope, _)| scope.to_json()).transpose()?;
        Ok(Origin { scope, trace })
    }

    /// Whether a job is shown to this caller.
    pub fn sees(&self, job: &Job) -> bool {
        self.grant().is_none_or(|grant| {
            JobRequest::from_json(job.kind, job.request.clone()).is_ok_and(|request| grant.covers(&request))
        })
    }

    /// A job, if this caller may see it.
    ///
    /// # Errors
    /// `job_not_found` for a job of others: that there is one is not told.
    pub fn admit(&self, job: Job) -> Result<Job> {
        match self.sees(&job) {
            true => Ok(job),
            false => Err(Error::new(Code::JobNotFound, format!("there is no job {}", job.id))),
        }
    }
}

impl FromRequest for Caller {
    type Error = actix_web::Error;
    type Future = Ready<std::result::Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Caller>().cloned().unwrap_or_default()))
    }
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
) -> std::result::Result<ServiceResponse<B>, actix_web::Error> {
    if service.tokens.is_open() || is_public(request.path()) {
        return next.call(request).await;
    }
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let detail = match shown.and_then(|value| value.split_once(' ')) {
        None => "the header Authorization: Bearer TOKEN is missing",
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            if let Some(caller) = service.tokens.accept(token.trim()) {
                request.extensions_mut().insert(caller);
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
    use crate::storage::Access;

    fn hashed(token: &str) -> String {
        format!("{PREFIX}{}", sha256(token))
    }

    fn read(content: &str) -> Result<Tokens> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Tokens::read(file.path())
    }

    #[test]
    fn each_line_is_the_digest_of_a_token() {
        let tokens = read(&format!("# two\r\n{}\r\n\n {} \n", hashed("first"), hashed("second"))).unwrap();
        assert!(tokens.accept("first").is_some() && tokens.accept("second").is_some());
        for wrong in ["", "firs", "first\nsecond", &hashed("first")] {
            assert!(tokens.accept(wrong).is_none(), "{wrong}");
        }
        assert_ne!(tokens.accept("first").unwrap().name(), tokens.accept("second").unwrap().name());
    }

    #[test]
    fn a_token_may_touch_its_prefixes() {
        let line = format!("{} read=s3://in/ write=s3://out/a", hashed("t"));
        let caller = read(&line).unwrap().accept("t").unwrap();
        let check =
            |location: &str, access| caller.grant().unwrap().check(&location.parse().unwrap(), access);
        assert!(check("s3://in/x", Access::Read).is_ok() && check("s3://out/a/x", Access::Write).is_ok());
        assert!(check("s3://in/x", Access::Write).is_err() && check("s3://out/b", Access::Read).is_err());
        assert!(read(&hashed("t")).unwrap().accept("t").unwrap().grant().is_none());
    }

    #[test]
    fn what_is_no_digest_is_refused_and_not_repeated() {
        for content in ["s3cret", "sha256:s3cret", &format!("{} s3cret", hashed("t")), "\n  \n# none\n"] {
            let error = read(content).err().unwrap();
            assert_eq!(error.code, Code::Usage);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
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
