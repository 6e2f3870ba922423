//! A version of an object that can be read while others write, replace or remove what has its name: as two attempts at one
//! job do, on a cluster whose node was given up and still works.

use super::location::Target;
use super::{Location, ObjectInfo, Storage, local};
use crate::error::Result;
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;

pub struct HeldObject {
    storage: Storage,
    info: ObjectInfo,
    /// A local file stays what it is as long as it is open; a version of an object in a store is asked for by its ETag
    file: Option<File>,
}

impl Storage {
    /// Holds what is at `location` now.
    pub fn hold(&self, location: &Location) -> Result<HeldObject> {
        let (info, file) = match (self.stat(location)?, location.target()) {
            (_, Target::Local(path)) => local::open(location, path).map(|(info, file)| (info, Some(file)))?,
            (info, Target::Remote { .. }) => (info, None),
        };
        Ok(HeldObject { storage: self.clone(), info, file })
    }
}

impl HeldObject {
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The bytes of `range`, which must lie inside the object.
    pub fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        match &self.file {
            Some(file) => local::read_exactly(&self.info, file, range),
            None => self.storage.read_range(&self.info, range),
        }
    }
}
