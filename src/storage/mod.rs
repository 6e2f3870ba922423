//! Object storage and local files behind one interface; the only place that names `object_store`.
//!
//! Everything here blocks: call it from threads that may wait (engine threads, `spawn_blocking`), never from async
//! code. Reads are pinned to one version of an object ([`ObjectInfo`]); writes become visible whole, on
//! [`ObjectWriter::commit`], or not at all.
//!
//! Errors name the location: `InputNotFound` for what is not there, `SourceChanged` for what is no longer what it
//! was, `StorageFailed` for the rest.

mod connect;
mod error;
mod list;
mod local;
mod location;
mod object;
mod reader;
mod remote;
mod uploads;
mod web;
mod writer;

pub use connect::Traffic;
pub use error::{io_error, unwrap_io};
pub use location::Location;
pub use object::StoredObject;
pub use reader::ObjectReader;
pub use writer::{Committed, ObjectWriter};

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use location::Target;
use parking_lot::Mutex;
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

/// What is to be done with a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Written or removed
    Write,
}

/// Which locations may be touched. Jobs of a service read locations that come from anyone, in requests and in files.
pub trait Policy: Send + Sync {
    /// An error with code `forbidden` where the location, or a pattern, may not be read or written.
    fn check(&self, location: &Location, access: Access) -> Result<()>;

    /// The same where a model of the hub, `owner/name`, may not be fetched.
    fn check_model(&self, id: &str) -> Result<()>;
}

/// Access to all stores; clones share clients and connections.
#[derive(Clone)]
pub struct Storage {
    remote: Arc<Remote>,
    policy: Option<Arc<dyn Policy>>,
    written: Option<Written>,
    most_listed: usize,
}

/// The objects that were written through a storage.
type Written = Arc<Mutex<Vec<Location>>>;

impl Storage {
    /// Stores configured by the environment variables of their own tools: `AWS_*` (with `AWS_ENDPOINT_URL` and
    /// `AWS_ENDPOINT_URL_S3` for other S3 servers), `GOOGLE_*`, `AZURE_*`. Nothing is contacted yet.
    pub fn from_env() -> Result<Storage> {
        Ok(Storage { remote: Arc::new(Remote::new()?), policy: None, written: None, most_listed: usize::MAX })
    }

    /// The same storage for a job that `cancel` ends: then it waits for no store any more, whatever it is asked for.
    pub fn until(&self, cancel: CancelToken) -> Storage {
        Storage { remote: Arc::new(self.remote.until(cancel)), ..self.clone() }
    }

    /// The same storage after a cancel, for what is to be committed or removed.
    pub fn to_the_end(&self) -> Storage {
        self.until(CancelToken::default())
    }

    /// The same storage, of which nothing can be touched that `policy` refuses.
    pub fn restricted(self, policy: Arc<dyn Policy>) -> Storage {
        Storage { policy: Some(policy), ..self }
    }

    /// The same storage, in which a pattern that names more than so many objects is refused.
    pub fn listing_at_most(self, objects: usize) -> Storage {
        Storage { most_listed: objects, ..self }
    }

    /// The same storage, which remembers what is written through it, so that it can be removed again.
    pub fn remembering(self) -> Storage {
        Storage { written: Some(Arc::default()), ..self }
    }

    /// Counts an object that was there before as written through this storage.
    pub fn adopt(&self, location: &Location) {
        if let Some(written) = &self.written {
            written.lock().push(location.clone());
        }
    }

    /// Removes all objects that were written through a storage that remembers, and those adopted.
    pub fn remove_written(&self) -> Result<()> {
        let written =
            self.written.as_ref().map_or_else(Vec::new, |written| std::mem::take(&mut *written.lock()));
        written.iter().try_for_each(|location| self.delete(location))
    }

    /// What has passed between this process and the stores so far.
    pub fn traffic(&self) -> Traffic {
        self.remote.traffic()
    }

    fn check(&self, location: &Location, access: Access) -> Result<()> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.check(location, access))
    }

    /// An error with code `forbidden` where the hub's model may not be fetched.
    pub fn check_model(&self, id: &str) -> Result<()> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.check_model(id))
    }

    /// Whether the policy lets this location be read.
    pub fn may_read(&self, location: &Location) -> bool {
        self.check(location, Access::Read).is_ok()
    }

    /// What is at `location` now.
    pub fn stat(&self, location: &Location) -> Result<ObjectInfo> {
        self.check(location, Access::Read)?;
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
        self.check(&location, Access::Read)?;
        let found = match location.target() {
            Target::Local(path) => list::local(&location, path),
            Target::Remote { .. } => list::remote(&self.remote, &location),
        }?;
        if found.len() > self.most_listed {
            return Err(Error::bad_input(format!(
                "{location} names {} objects; allowed are at most {}",
                found.len(),
                self.most_listed
            )));
        }
        // links may lead out of what is allowed
        found.iter().try_for_each(|info| self.check(&info.location, Access::Read))?;
        Ok(found)
    }

    /// Reads an object from its first byte.
    pub fn open(&self, info: &ObjectInfo) -> Result<ObjectReader> {
        self.open_at(info, 0)
    }

    /// Reads an object from byte `offset` on.
    pub fn open_at(&self, info: &ObjectInfo, offset: u64) -> Result<ObjectReader> {
        self.check(&info.location, Access::Read)?;
        ObjectReader::open(&self.remote, info, offset)
    }

    /// The bytes of `range`, which must lie inside the object.
    pub fn read_range(&self, info: &ObjectInfo, range: Range<u64>) -> Result<Bytes> {
        self.check(&info.location, Access::Read)?;
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
        self.check(location, Access::Write)?;
        ObjectWriter::create(&self.remote, location, self.written.clone())
    }

    /// Puts a small object into an object store in one step if there is none (`expected` is `None`), or if the one
    /// that is there has the `expected` ETag. Gives the new ETag, or `None` where it is not as expected.
    ///
    /// # Errors
    /// `StorageFailed`, also where the store knows no conditional writes: plain web servers, local files.
    pub fn put_if(
        &self,
        location: &Location,
        bytes: Vec<u8>,
        expected: Option<&str>,
    ) -> Result<Option<String>> {
        self.check(location, Access::Write)?;
        match location.target() {
            Target::Local(_) => {
                Err(Error::storage(format!("cannot write {location} on a condition: it is a local file")))
            }
            Target::Remote { .. } => self.remote.put_if(location, bytes, expected),
        }
    }

    /// Removes an object; it is no error if there is none.
    pub fn delete(&self, location: &Location) -> Result<()> {
        self.check(location, Access::Write)?;
        match location.target() {
            Target::Local(path) => local::delete(location, path),
            Target::Remote { .. } => self.remote.delete(location),
        }
    }

    /// Removes everything below a directory or prefix; it is no error if there is nothing.
    pub fn clear(&self, directory: &Location) -> Result<()> {
        self.check(directory, Access::Write)?;
        match directory.target() {
            Target::Local(path) => local::clear(directory, path),
            Target::Remote { .. } => list::clear(&self.remote, directory),
        }
    }

    /// The path of a local file, for memory maps.
    pub fn local_path(&self, location: &Location) -> Option<PathBuf> {
        location.path().map(Path::to_path_buf)
    }
}
