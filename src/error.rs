//! The one error type, and the one table that maps a code to its exit status, HTTP status and meaning.
//!
//! A message names the file, the record or the value at fault, and what was allowed.

use std::fmt;

/// What went wrong, as a stable name that scripts and clients may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    Usage,
    BadInput,
    InputNotFound,
    ModelUnavailable,
    OutOfMemory,
    StorageFailed,
    SourceChanged,
    ServerBusy,
    Interrupted,
    Canceled,
    Internal,
    MalformedJson,
    InvalidRequest,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    Unauthorized,
    Forbidden,
    JobNotFound,
    ResourceNotFound,
    MethodNotAllowed,
    JobState,
    IdempotencyConflict,
    QueueFull,
    NotReady,
}

/// One row of the table: everything the outside sees of a [`Code`].
pub struct CodeInfo {
    /// Stable machine-readable name, the `code` of a problem document.
    pub name: &'static str,
    /// Short human title, the `title` of a problem document.
    pub title: &'static str,
    /// Process exit status of the command line.
    pub exit: u8,
    /// HTTP status of the service.
    pub status: u16,
    /// Whether the same request may succeed later without a change.
    pub retryable: bool,
}

impl Code {
    pub const ALL: [Code; 25] = [
        Code::Usage,
        Code::BadInput,
        Code::InputNotFound,
        Code::ModelUnavailable,
        Code::OutOfMemory,
        Code::StorageFailed,
        Code::SourceChanged,
        Code::ServerBusy,
        Code::Interrupted,
        Code::Canceled,
        Code::Internal,
        Code::MalformedJson,
        Code::InvalidRequest,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::Unauthorized,
        Code::Forbidden,
        Code::JobNotFound,
        Code::ResourceNotFound,
        Code::MethodNotAllowed,
        Code::JobState,
        Code::IdempotencyConflict,
        Code::QueueFull,
        Code::NotReady,
    ];

    /// The table.
    pub const fn info(self) -> CodeInfo {
        const fn row(
            name: &'static str,
            title: &'static str,
            exit: u8,
            status: u16,
            retryable: bool,
        ) -> CodeInfo {
            CodeInfo { name, title, exit, status, retryable }
        }
        match self {
            Code::Usage => row("usage", "The options do not make sense", 2, 422, false),
            Code::BadInput => row("bad_input", "The input data is not valid", 65, 422, false),
            Code::InputNotFound => row("input_not_found", "An input does not exist", 66, 422, false),
            Code::ModelUnavailable => row("model_unavailable", "The model cannot be used", 69, 422, false),
            // as where the kernel ends a process: workflow engines ask for more and try again
            Code::OutOfMemory => row("out_of_memory", "Memory does not suffice", 137, 503, true),
            Code::StorageFailed => row("storage_failed", "The storage failed", 74, 502, true),
            Code::SourceChanged => {
                row("source_changed", "A source changed while it was read", 74, 409, false)
            }
            Code::ServerBusy => row("server_busy", "The service is busy or out of reach", 104, 503, true),
            Code::Interrupted => row("interrupted", "Interrupted", 130, 503, true),
            Code::Canceled => row("canceled", "The job was canceled", 130, 409, false),
            Code::Internal => row("internal", "A fault of bioprune itself", 70, 500, false),
            Code::MalformedJson => row("malformed_json", "The body is not valid JSON", 65, 400, false),
            Code::InvalidRequest => row("invalid_request", "The request is not valid", 2, 422, false),
            Code::RequestTimeout => {
                row("request_timeout", "The request took too long to send", 104, 408, true)
            }
            Code::BodyTooLarge => row("body_too_large", "The body is too large", 65, 413, false),
            Code::UnsupportedMediaType => {
                row("unsupported_media_type", "The body must be application/json", 65, 415, false)
            }
            Code::Unauthorized => row("unauthorized", "A valid bearer token is needed", 77, 401, false),
            Code::Forbidden => row("forbidden", "The location is not allowed", 77, 403, false),
            Code::JobNotFound => row("job_not_found", "There is no such job", 66, 404, false),
            Code::ResourceNotFound => row("not_found", "There is no such resource", 66, 404, false),
            Code::MethodNotAllowed => {
                row("method_not_allowed", "The method is not allowed here", 2, 405, false)
            }
            Code::JobState => row("job_state", "The job's state does not allow this", 65, 409, false),
            Code::IdempotencyConflict => {
                row("idempotency_conflict", "The key was used with another body", 65, 422, false)
            }
            Code::QueueFull => row("queue_full", "The queue is full", 104, 429, true),
            Code::NotReady => row("not_ready", "The service is not ready", 104, 503, true),
        }
    }

    /// The code of that stable name, as a client reads it out of a problem document.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.info().name == name)
    }
}

/// An error: its code, a message for a person, and what caused it.
#[derive(Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), source: None }
    }

    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Code::Usage, message)
    }

    pub fn bad_input(message: impl Into<String>) -> Self {
        Error::new(Code::BadInput, message)
    }

    pub fn model(message: impl Into<String>) -> Self {
        Error::new(Code::ModelUnavailable, message)
    }

    pub fn storage(message: impl Into<String>) -> Self {
        Error::new(Code::StorageFailed, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Code::Internal, message)
    }

    pub fn canceled() -> Self {
        Error::new(Code::Canceled, "canceled before it was complete; nothing was left behind")
    }

    pub fn suspended() -> Self {
        Error::new(
            Code::Canceled,
            "canceled before it was complete; repeated, it goes on from what was committed, if anything was",
        )
    }
}

impl fmt::Display for Error {
    /// The message, then each cause after a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name_and_is_found_by_it() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.info().name), Some(code));
        }
    }
}
