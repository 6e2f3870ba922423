//! Reading an object as a stream: bounded ranged GETs, a few in flight, all of one version.

use super::error::wrap_io;
use super::local::LocalReader;
use super::location::Target;
use super::remote::{Object, Remote, fetch};
use super::{Location, ObjectInfo};
use crate::error::{Error, Result};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The first ranged GET is small, as many readers look at little; each next one is twice as long, up to the last.
const FIRST_CHUNK: u64 = 1 << 20;
const CHUNK: u64 = 8 << 20;
/// Ranged GETs at once: hides the latency of a store, and with [`CHUNK`] bounds the memory of a reader to 32 MiB.
const IN_FLIGHT: usize = 3;

/// Reads one version of an object; an `io::Error` of it carries an [`Error`] with `SourceChanged` or `StorageFailed`.
pub struct ObjectReader {
    location: Location,
    source: Source,
}

enum Source {
    Local(LocalReader),
    Remote(RemoteReader),
}

impl ObjectReader {
    pub(super) fn open(remote: &Arc<Remote>, info: &ObjectInfo, offset: u64) -> Result<ObjectReader> {
        let source = match info.location.target() {
            Target::Local(path) => Source::Local(LocalReader::open(info, path, offset)?),
            Target::Remote { .. } => Source::Remote(RemoteReader {
                object: remote.object(&info.location)?,
                remote: remote.clone(),
                info: info.clone(),
                next: offset,
                chunk: FIRST_CHUNK,
                pending: VecDeque::new(),
                current: Bytes::new(),
            }),
        };
        Ok(ObjectReader { location: info.location.clone(), source })
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Appends at most so many bytes, fewer at the end alone; gives how many. Of a file they go straight to where they are
    /// wanted, without zeros there first.
    pub fn append(&mut self, bytes: &mut Vec<u8>, most: u64) -> io::Result<usize> {
        match &mut self.source {
            Source::Local(reader) => reader.append(bytes, most).map_err(wrap_io),
            Source::Remote(_) => self.take(most).read_to_end(bytes),
        }
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Local(reader) => reader.read(buf),
            Source::Remote(reader) => reader.read(buf),
        }
        .map_err(wrap_io)
    }
}

struct RemoteReader {
    remote: Arc<Remote>,
    object: Object,
    info: ObjectInfo,
    /// Where the next request begins
    next: u64,
    chunk: u64,
    pending: VecDeque<JoinHandle<Result<Bytes>>>,
    current: Bytes,
}

impl RemoteReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.current.is_empty() {
            self.request_ahead();
            let Some(next) = self.pending.front_mut() else { return Ok(0) };
            self.current = self.remote.block_on(next)?.map_err(|error| {
                Error::internal(format!("reading {} broke off", self.info.location)).caused_by(error)
            })??;
            self.pending.pop_front();
        }
        let length = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..length]);
        Ok(length)
    }

    fn request_ahead(&mut self) {
        while self.pending.len() < IN_FLIGHT && self.next < self.info.size {
            let end = self.info.size.min(self.next + self.chunk);
            let request = fetch(self.object.clone(), self.info.clone(), self.next..end);
            self.pending.push_back(self.remote.handle().spawn(request));
            self.next = end;
            self.chunk = CHUNK.min(self.chunk * 2);
        }
    }
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        self.pending.iter().for_each(JoinHandle::abort);
    }
}
