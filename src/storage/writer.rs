//! Writing an object that appears whole, on commit, or not at all.

use super::error::{Action, from_io, from_store, wrap_io};
use super::location::Target;
use super::remote::{Object, Remote, quoted};
use super::{Location, local};
use crate::error::{Error, Result};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

/// Bytes gathered before a file is written to.
const FILE_BUFFER: usize = 256 << 10;
/// Bytes of an uploaded part. Stores take at most 10,000 parts: objects of up to 160 GB.
const PART: usize = 16 << 20;
/// Parts uploaded at once; with [`PART`] this bounds the memory of a writer to 64 MiB.
const IN_FLIGHT: usize = 3;
/// How long a dropped writer waits for the store to forget the parts.
const ABORT_WAIT: Duration = Duration::from_secs(10);

/// An object that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub location: Location,
    /// Bytes
    pub size: u64,
    /// 64 hexadecimal digits
    pub sha256: String,
    pub etag: Option<String>,
}

/// Writes an object; dropped without [`commit`](ObjectWriter::commit) it leaves nothing behind.
pub struct ObjectWriter {
    location: Location,
    buffer: Vec<u8>,
    capacity: usize,
    digest: Sha256,
    size: u64,
    sink: Sink,
}

enum Sink {
    File { temporary: NamedTempFile, destination: PathBuf },
    Upload(Upload),
}

impl ObjectWriter {
    pub(super) fn create(remote: &Arc<Remote>, location: &Location) -> Result<ObjectWriter> {
        if location.file_name().is_empty() || location.as_str().ends_with('/') {
            return Err(Error::usage(format!("cannot write {location}: a file name is needed")));
        }
        let (capacity, sink) = match location.target() {
            Target::Local(path) => (FILE_BUFFER, create_file(location, path)?),
            Target::Remote { .. } => {
                let object = remote.object(location)?;
                (
                    PART,
                    Sink::Upload(Upload {
                        remote: remote.clone(),
                        object,
                        multipart: None,
                        parts: JoinSet::new(),
                    }),
                )
            }
        };
        let location = location.clone();
        Ok(ObjectWriter { location, buffer: Vec::new(), capacity, digest: Sha256::new(), size: 0, sink })
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Makes the object visible under its name, replacing one that was there.
    pub fn commit(mut self) -> Result<Committed> {
        let last = self.take_buffer();
        let etag = match self.sink {
            Sink::File { mut temporary, destination } => {
                let failed = |error| from_io(Action::Write, &self.location, error);
                temporary.write_all(&last).map_err(failed)?;
                temporary.as_file().sync_all().map_err(failed)?;
                let file = temporary.persist(&destination).map_err(|error| failed(error.error))?;
                sync_directory(&destination).map_err(failed)?;
                Some(local::etag(&file.metadata().map_err(failed)?))
            }
            Sink::Upload(upload) => upload.complete(&self.location, last)?,
        };
        let sha256 = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Committed { location: self.location, size: self.size, sha256, etag })
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        self.digest.update(&self.buffer);
        self.size += self.buffer.len() as u64;
        std::mem::take(&mut self.buffer)
    }

    fn send_buffer(&mut self) -> Result<()> {
        let mut full = self.take_buffer();
        match &mut self.sink {
            Sink::File { temporary, .. } => {
                let written = temporary.write_all(&full);
                full.clear();
                self.buffer = full;
                written.map_err(|error| from_io(Action::Write, &self.location, error))
            }
            Sink::Upload(upload) => upload.send(&self.location, full),
        }
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == self.capacity {
            self.send_buffer().map_err(wrap_io)?;
        }
        let length = bytes.len().min(self.capacity - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Nothing to do: bytes become visible on commit alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A hidden file beside the destination, so that the final rename stays within one file system.
fn create_file(location: &Location, destination: &Path) -> Result<Sink> {
    let failed = |error| from_io(Action::Write, location, error);
    let directory = directory_of(destination);
    std::fs::create_dir_all(directory).map_err(failed)?;
    if destination.is_dir() {
        return Err(Error::storage(format!("cannot write {location}: it is a directory")));
    }
    let temporary = tempfile::Builder::new()
        .prefix(&format!(".{}.bioprune-", location.file_name()))
        .suffix(".tmp")
        // What any new file gets: the umask takes its share.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(failed)?;
    Ok(Sink::File { temporary, destination: destination.to_path_buf() })
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Without this a crash of the machine may lose the new name.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// A multipart upload, begun with the first full part; what is smaller is put at once.
struct Upload {
    remote: Arc<Remote>,
    object: Object,
    multipart: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    fn send(&mut self, location: &Location, part: Vec<u8>) -> Result<()> {
        let remote = self.remote.clone();
        let failed = |error| from_store(Action::Write, location, error);
        if self.multipart.is_none() {
            let (store, path) = &self.object;
            self.multipart = Some(remote.block_on(store.put_multipart(path)).map_err(failed)?);
        }
        while self.parts.len() >= IN_FLIGHT {
            remote.block_on(self.join_part()).map_err(failed)?;
        }
        if let Some(multipart) = &mut self.multipart {
            self.parts.spawn_on(multipart.put_part(PutPayload::from(part)), remote.handle());
        }
        Ok(())
    }

    async fn join_part(&mut self) -> object_store::Result<()> {
        match self.parts.join_next().await {
            Some(joined) => joined?,
            None => Ok(()),
        }
    }

    /// Returns the ETag.
    fn complete(mut self, location: &Location, last: Vec<u8>) -> Result<Option<String>> {
        let remote = self.remote.clone();
        let failed = |error| from_store(Action::Write, location, error);
        if self.multipart.is_none() {
            let (store, path) = &self.object;
            let put = remote.block_on(store.put(path, PutPayload::from(last)));
            return put.map(|put| quoted(put.e_tag)).map_err(failed);
        }
        if !last.is_empty() {
            self.send(location, last)?;
        }
        let completed = remote.block_on(async {
            while !self.parts.is_empty() {
                self.join_part().await?;
            }
            match &mut self.multipart {
                Some(multipart) => multipart.complete().await.map(|put| quoted(put.e_tag)),
                None => Ok(None),
            }
        });
        let etag = completed.map_err(failed)?;
        self.multipart = None;
        Ok(etag)
    }
}

impl Drop for Upload {
    /// Waits on a plain channel, which async code may do where it may not block on the runtime.
    fn drop(&mut self) {
        let Some(mut multipart) = self.multipart.take() else { return };
        self.parts.abort_all();
        let (done, waiting) = mpsc::channel();
        self.remote.handle().spawn(async move {
            let aborted = multipart.abort().await;
            let _ = done.send(aborted);
        });
        if !matches!(waiting.recv_timeout(ABORT_WAIT), Ok(Ok(()))) {
            log::warn!("an unfinished upload of {} may have left parts in the store", self.object.1);
        }
    }
}
