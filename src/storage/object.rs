//! A version of an object, to be read at any place.

use super::location::Target;
use super::{Location, ObjectInfo, Storage, local};
use crate::error::Result;
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;

pub struct StoredObject {
    storage: Storage,
    info: ObjectInfo,
    /// A local file that is held: it stays what it is as long as it is open
    file: Option<File>,
}

impl Storage {
    /// The version of an object that `info` tells of, which is asked for at each read: there may be any number of these.
    pub fn object(&self, info: ObjectInfo) -> StoredObject {
        StoredObject { storage: self.clone(), info, file: None }
    }

    /// What is at `location` now. A local file can be read while others write, replace or remove what has its name: as
    /// two attempts at one job do, on a cluster whose node was given up and still works.
    pub fn hold(&self, location: &Location) -> Result<StoredObject> {
        let info = self.stat(location)?;
        match location.target() {
            Target::Local(path) => {
                let (info, file) = local::open(location, path)?;
                Ok(StoredObject { file: Some(file), ..self.object(info) })
            }
            Target::Remote { .. } => Ok(self.object(info)),
        }
    }
}

impl StoredObject {
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
