//! Problem documents (RFC 9457): what a failed request, or a failed job, says to the outside.

use crate::error::{Code, Error};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

const TYPE_PREFIX: &str = "urn:bioprune:problem:";

/// An error as a problem document (RFC 9457)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable URN of the kind of problem
    #[serde(rename = "type")]
    #[schema(example = "urn:bioprune:problem:invalid_request")]
    pub kind: String,
    /// What the kind of problem means
    #[schema(example = "The request is not valid")]
    pub title: String,
    /// HTTP status
    #[schema(example = 422, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened here: the file, record or value at fault, and what was allowed
    #[schema(example = "mask_passes: 8 is not allowed; allowed are 1 to 7")]
    pub detail: String,
    /// Stable name of the kind of problem, the last part of `type`
    #[schema(example = "invalid_request")]
    pub code: String,
    /// Whether the same request may succeed later without a change
    #[schema(example = false)]
    pub retryable: bool,
    /// The field of the request, or the query parameter or header, that is at fault
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "mask_passes")]
    pub field: Option<String>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let info = code.info();
        Problem {
            kind: format!("{TYPE_PREFIX}{}", info.name),
            title: info.title.to_string(),
            status: info.status,
            detail: detail.into(),
            code: info.name.to_string(),
            retryable: info.retryable,
            field: None,
        }
    }

    pub fn with_field(mut self, field: impl Into<String>) -> Problem {
        self.field = Some(field.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        Problem::new(error.code, error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::from(&error)
    }
}

impl From<Problem> for Error {
    /// The error that a server's problem stands for; a code of a newer server counts as a fault.
    fn from(problem: Problem) -> Error {
        Error::new(Code::from_name(&problem.code).unwrap_or(Code::Internal), problem.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_comes_back_from_its_problem() {
        for code in Code::ALL {
            let json = serde_json::to_string(&Problem::from(Error::new(code, "because"))).unwrap();
            let back = Error::from(serde_json::from_str::<Problem>(&json).unwrap());
            assert_eq!((back.code, back.message.as_str()), (code, "because"));
        }
    }
}
