//! The storage as requests see it: what the operator allows of it.

use super::allow::AllowList;
use crate::error::{Code, Error, Result};
use crate::jobs::{ObjectInfo, Objects};
use std::os::unix::fs::MetadataExt;

/// Objects of the locations that are allowed.
pub(super) struct AllowedStorage {
    pub allow: AllowList,
}

impl Objects for AllowedStorage {
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>> {
        self.allow.check(location)?;
        let metadata = std::fs::metadata(location).map_err(|error| {
            Error::new(Code::InputNotFound, format!("{location}: not found")).caused_by(error)
        })?;
        let etag = Some(format!("{:x}-{:x}-{:x}", metadata.ino(), metadata.mtime_nsec(), metadata.len()));
        Ok(vec![ObjectInfo { location: location.to_string(), size: metadata.len(), etag }])
    }

    fn exists(&self, location: &str) -> Result<bool> {
        self.allow.check(location)?;
        Ok(std::path::Path::new(location).exists())
    }
}
