//! The name of a job, derived from what it computes and from what it reads.

use super::request::{JobKind, JobRequest};
use crate::digest::hex;
use crate::error::{Code, Error, Result};
use crate::storage::ObjectInfo;
use crate::string_serde;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Hexadecimal digits of the digest that an id keeps: 96 bits, so that two of 2^32 jobs meet with a chance of 1e-10.
const DIGITS: usize = 24;

/// For example `prune-8c1f0a7be2d94c5a1b0f33e2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// The id of `request` over `inputs`, as they are now. The program's version counts too: another one may compute
    /// something else.
    pub(super) fn derive(request: &JobRequest, inputs: &[ObjectInfo]) -> Result<JobId> {
        let mut digest = Sha256::new();
        let kind = request.kind();
        for part in [env!("CARGO_PKG_VERSION"), kind.name(), &request.to_json()?] {
            field(&mut digest, part);
        }
        for object in inputs {
            field(&mut digest, object.location.as_str());
            field(&mut digest, &object.size.to_string());
            field(&mut digest, object.etag.as_deref().unwrap_or(""));
        }
        Ok(JobId(format!("{}-{}", kind.name(), &hex(&digest.finalize())[..DIGITS])))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Adds one part with its length, so that no two lists of parts read the same.
fn field(digest: &mut Sha256, part: &str) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part.as_bytes());
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let valid = text.split_once('-').is_some_and(|(kind, digits)| {
            kind.parse::<JobKind>().is_ok()
                && digits.len() == DIGITS
                && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        if valid {
            return Ok(JobId(text.to_string()));
        }
        Err(Error::new(
            Code::JobNotFound,
            format!("job {text:?}: an id is a kind of job, a hyphen and {DIGITS} hexadecimal digits"),
        ))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_serde!(JobId);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(keep: &str) -> JobRequest {
        let body = json!({"inputs": ["s3://b/rna.fa"], "output": "s3://b/out/", "keep": keep});
        JobRequest::from_json(JobKind::Prune, body).unwrap()
    }

    fn object(etag: &str) -> ObjectInfo {
        ObjectInfo { location: "s3://b/rna.fa".parse().unwrap(), size: 10, etag: Some(etag.to_string()) }
    }

    #[test]
    fn the_same_request_over_the_same_data_has_the_same_id() {
        let id = |keep, etag| JobId::derive(&request(keep), &[object(etag)]).unwrap();
        assert_eq!(id("1%", "a"), id("1%", "a"));
        assert_ne!(id("1%", "a"), id("2%", "a"));
        assert_ne!(id("1%", "a"), id("1%", "b"));
        assert_eq!(id("1%", "a").as_str().parse::<JobId>().unwrap(), id("1%", "a"));
    }

    #[test]
    fn what_is_no_id_is_a_job_that_does_not_exist() {
        for text in
            ["", "prune", "prune-", "prune-xyz", "bake-8c1f0a7be2d94c5a1b0f33e2", "prune-../../etc/passwd"]
        {
            assert_eq!(text.parse::<JobId>().unwrap_err().code, Code::JobNotFound, "{text}");
        }
    }
}
