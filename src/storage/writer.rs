//! Writing an object that appears whole, on commit, or not at all.

use super::error::{Action, from_io, from_store, wrap_io};
use super::location::Target;
use super::remote::{Object, Remote, again, quoted};
use super::{Location, Written, local, uploads};
use crate::digest::hex;
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
/// In the name of a file that is being written: `.NAME.bioprune-XXXXXX.tmp`.
const TEMPORARY_MARK: &str = ".bioprune-";
const TEMPORARY_SUFFIX: &str = ".tmp";
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
    written: Option<Written>,
}

enum Sink {
    File { temporary: NamedTempFile, destination: PathBuf },
    Upload(Upload),
}

impl ObjectWriter {
    pub(super) fn create(
        remote: &Arc<Remote>,
        location: &Location,
        written: Option<Written>,
    ) -> Result<ObjectWriter> {
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
                        before: None,
                    }),
                )
            }
        };
        let location = location.clone();
        let (buffer, digest) = (Vec::new(), Sha256::new());
        Ok(ObjectWriter { location, buffer, capacity, digest, size: 0, sink, written })
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Makes the object visible under its name, replacing one that was there.
    pub fn commit(mut self) -> Result<Committed> {
        let last = self.take_buffer();
        // also where it is not told any more whether the store has it
        if let Some(written) = &self.written {
            written.lock().push(self.location.clone());
        }
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
        let sha256 = hex(&self.digest.finalize());
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
    let prefix = format!(".{}{TEMPORARY_MARK}", location.file_name());
    remove_abandoned(directory, &prefix).map_err(failed)?;
    loop {
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(TEMPORARY_SUFFIX)
            // What any new file gets: the umask takes its share.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(failed)?;
        // Held until the file is closed, also by a kill. Where locks are not supported nothing is ever abandoned.
        let locked = temporary.as_file().try_lock().is_ok();
        // Before it was locked another writer may have taken it for abandoned.
        if !locked || temporary.path().exists() {
            return Ok(Sink::File { temporary, destination: destination.to_path_buf() });
        }
    }
}

/// Removes the temporary files of writers that were killed: those that nobody holds locked.
fn remove_abandoned(directory: &Path, prefix: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_temporary =
            name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(TEMPORARY_SUFFIX));
        if is_temporary
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // another writer may have been faster
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
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
    /// ETag of the object that this one replaces
    before: Option<String>,
}

impl Upload {
    fn send(&mut self, location: &Location, part: Vec<u8>) -> Result<()> {
        let remote = self.remote.clone();
        let failed = |error| from_store(Action::Write, location, error);
        if self.multipart.is_none() {
            // of a writer that was killed; one that lives yet, on a node that was given up, fails
            uploads::abort_left(&remote, location);
            let (store, path) = &self.object;
            self.before = remote.block_on(self.etag())?;
            let begun = remote.block_on(again(|| store.put_multipart(path)))?;
            self.multipart = Some(begun.map_err(failed)?);
        }
        while self.parts.len() >= IN_FLIGHT {
            remote.block_on(self.join_part())?.map_err(failed)?;
        }
        if let Some(multipart) = &mut self.multipart {
            self.parts.spawn_on(multipart.put_part(PutPayload::from(part)), remote.handle());
        }
        Ok(())
    }

    /// Of the object that is there now, if one is.
    async fn etag(&self) -> Option<String> {
        let (store, path) = &self.object;
        store.head(path).await.ok().and_then(|meta| quoted(meta.e_tag))
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
            let payload = PutPayload::from(last);
            let put = remote.block_on(again(|| store.put(path, payload.clone())))?;
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
        })?;
        let etag = match completed {
            Ok(etag) => etag,
            // An answer that was lost on its way leaves the object complete, and the upload gone when it is sent again.
            Err(error) => match remote.block_on(self.etag())? {
                Some(etag) if self.before.as_ref() != Some(&etag) => Some(etag),
                _ => return Err(failed(error)),
            },
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_and_a_living_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::local(folder.path().join("a.tsv")).unwrap();
        let storage = Storage::from_env().unwrap();
        let names = || {
            let mut names: Vec<String> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        std::fs::write(folder.path().join(".a.tsv.bioprune-dead01.tmp"), "left").unwrap();
        std::fs::write(folder.path().join(".b.tsv.bioprune-dead02.tmp"), "of another file").unwrap();
        let living = storage.create(&location).unwrap();
        let second = storage.create(&location).unwrap();
        assert_eq!(names().len(), 3, "{:?}", names());
        assert!(!names().contains(&".a.tsv.bioprune-dead01.tmp".to_string()));
        drop(second);
        living.commit().unwrap();
        assert_eq!(names(), [".b.tsv.bioprune-dead02.tmp", "a.tsv"]);
    }
}
