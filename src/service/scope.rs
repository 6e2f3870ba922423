//! What a bearer token may touch, kept with each job that it submits.

use super::prefix::{Prefixes, refused};
use crate::error::{Error, Result};
use crate::jobs::{JobRequest, Role};
use crate::storage::{Access, Location, Policy};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The prefixes below which the bearer of a token may read and write, as they stand in the token file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scope {
    pub read: Vec<String>,
    /// What may be written may be read, too
    pub write: Vec<String>,
}

/// A scope ready to be asked.
pub(super) struct Grant {
    read: Prefixes,
    write: Prefixes,
}

impl Scope {
    /// # Errors
    /// `usage` where a prefix is none.
    pub fn grant(&self) -> Result<Grant> {
        let parse = |prefixes: &[String]| Prefixes::parse(prefixes.iter().map(String::as_str));
        Ok(Grant { read: parse(&self.read)?, write: parse(&self.write)? })
    }

    /// As it is kept with a job.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal("a scope does not fit into JSON").caused_by(error))
    }

    pub fn from_json(text: &str) -> Result<Scope> {
        serde_json::from_str(text)
            .map_err(|error| Error::internal("the job store holds an unreadable scope").caused_by(error))
    }
}

impl Grant {
    /// # Errors
    /// `forbidden`, without naming what else is granted.
    pub fn check(&self, location: &Location, access: Access) -> Result<()> {
        let granted = self.write.hold(location)? || (access == Access::Read && self.read.hold(location)?);
        match (granted, access) {
            (true, _) => Ok(()),
            (false, Access::Read) => Err(refused(location.as_str(), "this token may not read it")),
            (false, Access::Write) => Err(refused(location.as_str(), "this token may not write it")),
        }
    }

    /// Whether everything that a job reads and writes is granted: such a job is shown to the bearer, and others are not.
    pub fn covers(&self, request: &JobRequest) -> bool {
        request.locations().iter().all(|(_, role, location)| {
            let location = location.parse::<Location>();
            location.is_ok_and(|location| self.check(&location, access(*role)).is_ok())
        })
    }
}

/// What a job does with a location.
pub(super) fn access(role: Role) -> Access {
    match role {
        Role::Input => Access::Read,
        Role::Output => Access::Write,
    }
}

/// What both the operator allows and a token may touch.
pub(super) struct Within {
    pub policy: Arc<dyn Policy>,
    pub grant: Grant,
}

impl Policy for Within {
    fn check(&self, location: &Location, access: Access) -> Result<()> {
        self.policy.check(location, access)?;
        self.grant.check(location, access)
    }

    fn check_model(&self, id: &str) -> Result<()> {
        self.policy.check_model(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::jobs::JobKind;
    use serde_json::json;

    fn grant() -> Grant {
        Scope { read: vec!["s3://in/rna".to_string()], write: vec!["s3://out/alice".to_string()] }
            .grant()
            .unwrap()
    }

    #[test]
    fn what_may_be_written_may_be_read_and_not_the_other_way_round() {
        for (location, access, granted) in [
            ("s3://in/rna/a.fa", Access::Read, true),
            ("s3://in/rna/a.fa", Access::Write, false),
            ("s3://in/rnas/a.fa", Access::Read, false),
            ("s3://out/alice/x", Access::Write, true),
            ("s3://out/alice/x", Access::Read, true),
            ("s3://out/alice/../bob/x", Access::Write, false),
            ("s3://out/bob/x", Access::Read, false),
        ] {
            let checked = grant().check(&location.parse().unwrap(), access);
            assert_eq!(checked.is_ok(), granted, "{location} {access:?}");
            if let Err(error) = checked {
                assert_eq!(error.code, Code::Forbidden);
                assert!(!error.message.contains("s3://in/rna,"), "{error}");
            }
        }
    }

    #[test]
    fn a_job_is_covered_where_all_that_it_touches_is_granted() {
        let covers = |inputs: &str, output: &str| {
            let body = json!({"inputs": [inputs], "output": output, "keep": "1%"});
            grant().covers(&JobRequest::from_json(JobKind::Prune, body).unwrap())
        };
        assert!(covers("s3://in/rna/*.fa", "s3://out/alice/x/"));
        assert!(!covers("s3://in/dna/*.fa", "s3://out/alice/x/"));
        assert!(!covers("s3://in/rna/*.fa", "s3://in/rna/x/"));
    }
}
