//! Object storage and local files behind one interface; the only place that names `object_store`.
//!
//! Everything here blocks: call it from threads that may wait (engine threads, `spawn_blocking`), never from async
//! code. Reads are pinned to one version of an object ([`ObjectInfo`]); writes become visible whole, on
//! [`ObjectWriter::commit`], or not at all.
//!
//! Errors name the location: `InputNotFound` for what is not there, `SourceChanged` for what is no longer what it
//! was, `StorageFailed` for the rest.

mod error;
mod list;
mod local;
mod location;
mod reader;
mod remote;
mod writer;

pub use error::{io_error, unwrap_io};
pub use location::Location;
pub use reader::ObjectReader;
pub use writer::{Committed, ObjectWriter};

use crate::error::{Code, Error, Result};
use bytes::Bytes;
use location::Target;
use remote::Remote;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    pub location: Location,
    /// Bytes
    pub size: u64,
    /// What the store calls this version; for a local file made of its inode, modification time and size
    pub etag: Option<String>,
}

/// Which locations may be touched. Jobs of a service read locations that come from anyone, in requests and in files.
pub trait Policy: Send + Sync {
    /// An error with code `forbidden` where the location, or a pattern, may not be touched.
    fn check(&self, location: &Location) -> Result<()>;

    /// The same where a model of the hub, `owner/name`, may not be fetched.
    fn check_model(&self, id: &str) -> Result<()>;
}

/// Access to all stores; clones share clients and connections.
#[derive(Clone)]
pub struct Storage {
    remote: Arc<Remote>,
    policy: Option<Arc<dyn Policy>>,
}

impl Storage {
    /// Stores configured by the environment variables of their own tools: `AWS_*` (with `AWS_ENDPOINT_URL` and
    /// `AWS_ENDPOINT_URL_S3` for other S3 servers), `GOOGLE_*`, `AZURE_*`. Nothing is contacted yet.
    pub fn from_env() -> Result<Storage> {
        Ok(Storage { remote: Arc::new(Remote::new()?), policy: None })
    }

    /// The same storage, of which nothing can be touched that `policy` refuses.
    pub fn restricted(self, policy: Arc<dyn Policy>) -> Storage {
        Storage { policy: Some(policy), ..self }
    }

    fn check(&self, location: &Location) -> Result<()> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.check(location))
    }

    /// An error with code `forbidden` where the hub's model may not be fetched.
    pub fn check_model(&self, id: &str) -> Result<()> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.check_model(id))
    }

    /// Whether the policy lets this location be read and written.
    pub fn may_touch(&self, location: &Location) -> bool {
        self.check(location).is_ok()
    }

    /// What is at `location` now.
    pub fn stat(&self, location: &Location) -> Result<ObjectInfo> {
        self.check(location)?;
        match location.target() {
            Target::Local(path) => local::stat(location, path),
            Target::Remote { .. } => self.remote.stat(location),
        }
    }

    /// Whether there is an object or file at `location`.
    pub fn exists(&self, location: &Location) -> Result<bool> {
        match self.stat(location) {
            Ok(_) => Ok(true),
            Err(error) if error.code == Code::InputNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The objects that `pattern` names, sorted by the bytes of their names; at least one.
    ///
    /// A pattern is an object; or a directory or prefix, read recursively without names that begin with `.` or `_`;
    /// or a glob with `*`, `?`, `[..]` (each within one name) and `**` (any directories).
    pub fn list(&self, pattern: &str) -> Result<Vec<ObjectInfo>> {
        let location: Location = pattern.parse()?;
        self.check(&location)?;
        let found = match location.target() {
            Target::Local(path) => list::local(&location, path),
            Target::Remote { .. } => list::remote(&self.remote, &location),
        }?;
        // links may lead out of what is allowed
        found.iter().try_for_each(|info| self.check(&info.location))?;
        Ok(found)
    }

    /// Reads an object from its first byte.
    pub fn open(&self, info: &ObjectInfo) -> Result<ObjectReader> {
        self.open_at(info, 0)
    }

    /// Reads an object from byte `offset` on.
    pub fn open_at(&self, info: &ObjectInfo, offset: u64) -> Result<ObjectReader> {
        self.check(&info.location)?;
        ObjectReader::open(&self.remote, info, offset)
    }

    /// The bytes of `range`, which must lie inside the object.
    pub fn read_range(&self, info: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        self.check(&info.location)?;
        if range.start > range.end || range.end > info.size {
            return Err(Error::internal(format!(
                "bytes {}..{} asked of {}, which has {}",
                range.start, range.end, info.location, info.size
            )));
        }
        match info.location.target() {
            Target::Local(path) => local::read_range(info, path, range),
            Target::Remote { .. } => self.remote.read_range(info, range),
        }
    }

    /// A whole object of at most `limit` bytes.
    pub fn get_small(&self, location: &Location, limit: u64) -> Result<Bytes> {
        let info = self.stat(location)?;
        if info.size > limit {
            return Err(Error::bad_input(format!(
                "{location} has {} bytes; allowed are at most {limit}",
                info.size
            )));
        }
        self.read_range(&info, 0..info.size)
    }

    /// Begins to write an object; parent directories are made. Nothing is visible at `location` before
    /// [`ObjectWriter::commit`].
    pub fn create(&self, location: &Location) -> Result<ObjectWriter> {
        self.check(location)?;
        ObjectWriter::create(&self.remote, location)
    }

    /// Removes an object; it is no error if there is none.
    pub fn delete(&self, location: &Location) -> Result<()> {
        self.check(location)?;
        match location.target() {
            Target::Local(path) => local::delete(location, path),
            Target::Remote { .. } => self.remote.delete(location),
        }
    }

    /// The path of a local file, for memory maps.
    pub fn local_path(&self, location: &Location) -> Option<PathBuf> {
        location.path().map(Path::to_path_buf)
    }
}
