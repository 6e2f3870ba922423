//! Local files, one version at a time.

use super::error::{Action, changed, from_io};
use super::{Location, ObjectInfo};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// A version of a local file: rewriting, replacing or resizing it gives another.
pub(super) fn etag(metadata: &Metadata) -> String {
    format!("{:x}-{:x}.{:x}-{:x}", metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len())
}

pub(super) fn info(location: Location, metadata: &Metadata) -> ObjectInfo {
    ObjectInfo { location, size: metadata.len(), etag: Some(etag(metadata)) }
}

pub(super) fn stat(location: &Location, path: &Path) -> Result<ObjectInfo> {
    let metadata = std::fs::metadata(path).map_err(|error| from_io(Action::Read, location, error))?;
    if metadata.is_dir() {
        return Err(Error::new(Code::InputNotFound, format!("{location} is a directory, not a file")));
    }
    if !metadata.is_file() {
        return Err(Error::bad_input(format!(
            "{location} is not a regular file: pipes and devices are not allowed, as inputs are read more than once"
        )));
    }
    Ok(info(location.clone(), &metadata))
}

pub(super) fn delete(location: &Location, path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| from_io(Action::Delete, location, error)),
    }
}

/// Removes a directory with all that is in it; what is written into it meanwhile may stay, as in a store.
pub(super) fn clear(location: &Location, path: &Path) -> Result<()> {
    use io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match std::fs::remove_dir_all(path) {
        Err(error) if matches!(error.kind(), NotFound | DirectoryNotEmpty) => Ok(()),
        other => other.map_err(|error| from_io(Action::Delete, location, error)),
    }
}

pub(super) fn read_range(info: &ObjectInfo, path: &Path, range: Range<u64>) -> Result<Bytes> {
    let (_, file) = open(&info.location, path)?;
    read_exactly(info, &file, range)
}

/// Bytes of an open file, which must be the version that `info` tells of.
pub(super) fn read_exactly(info: &ObjectInfo, file: &File, range: Range<u64>) -> Result<Bytes> {
    check_version(info, file)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => changed(&info.location),
        _ => from_io(Action::Read, &info.location, error),
    })?;
    Ok(bytes.into())
}

/// Opens the file that is there now.
pub(super) fn open(location: &Location, path: &Path) -> Result<(ObjectInfo, File)> {
    let failed = |error| from_io(Action::Read, location, error);
    let file = File::open(path).map_err(failed)?;
    let info = info(location.clone(), &file.metadata().map_err(failed)?);
    Ok((info, file))
}

fn check_version(info: &ObjectInfo, file: &File) -> Result<()> {
    let metadata = file.metadata().map_err(|error| from_io(Action::Read, &info.location, error))?;
    let same =
        metadata.len() == info.size && info.etag.as_ref().is_none_or(|expected| *expected == etag(&metadata));
    if same { Ok(()) } else { Err(changed(&info.location)) }
}

/// Reads a file from an offset to its end, and checks at both ends of the way that it is still the same version.
pub(super) struct LocalReader {
    info: ObjectInfo,
    file: File,
    left: u64,
}

impl LocalReader {
    pub(super) fn open(info: &ObjectInfo, path: &Path, offset: u64) -> Result<LocalReader> {
        let (_, mut file) = open(&info.location, path)?;
        check_version(info, &file)?;
        file.seek(SeekFrom::Start(offset)).map_err(|error| from_io(Action::Read, &info.location, error))?;
        Ok(LocalReader { left: info.size.saturating_sub(offset), info: info.clone(), file })
    }

    /// At most `buf.len()` bytes; 0 at the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.file.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return self.passed(read),
            }
        }
    }

    /// Appends at most so many bytes; fewer at the end alone.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, most: u64) -> Result<usize> {
        let read = (&mut self.file).take(most).read_to_end(bytes);
        self.passed(read)
    }

    fn passed(&mut self, read: io::Result<usize>) -> Result<usize> {
        let read = read.map_err(|error| from_io(Action::Read, &self.info.location, error))?;
        if read as u64 > self.left || (read == 0 && self.left > 0) {
            return Err(changed(&self.info.location));
        }
        if read == 0 {
            check_version(&self.info, &self.file)?;
        }
        self.left -= read as u64;
        Ok(read)
    }
}
