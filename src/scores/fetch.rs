//! How scores are fetched: by byte ranges, from a local file or an object.

use crate::error::{Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Content that is read by ranges, from any thread.
pub trait RandomRead: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> Result<u64>;

    /// Exactly the bytes of `range`, which lies inside the size.
    fn read_range(&self, range: Range<u64>) -> Result<Bytes>;
}

impl RandomRead for File {
    fn size(&self) -> Result<u64> {
        self.metadata()
            .map(|metadata| metadata.len())
            .map_err(|e| Error::storage("size of a scores file").caused_by(e))
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_exact_at(&mut bytes, range.start)
            .map_err(|e| Error::storage(format!("bytes {range:?} of a scores file")).caused_by(e))?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
impl RandomRead for Bytes {
    fn size(&self) -> Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        Ok(self.slice(range.start as usize..range.end as usize))
    }
}

/// Bytes of one request when content is read from front to back: large enough to hide a request's latency.
const STRIDE: u64 = 8 << 20;

/// Content read from front to back.
pub(super) struct FrontToBack {
    content: Arc<dyn RandomRead>,
    size: u64,
    offset: u64,
    fetched: Bytes,
}

impl FrontToBack {
    pub fn new(content: Arc<dyn RandomRead>) -> Result<Self> {
        let size = content.size()?;
        Ok(FrontToBack { content, size, offset: 0, fetched: Bytes::new() })
    }
}

impl Read for FrontToBack {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetched.is_empty() && self.offset < self.size {
            let end = self.size.min(self.offset + STRIDE);
            self.fetched = self.content.read_range(self.offset..end).map_err(io::Error::other)?;
            self.offset = end;
        }
        let n = buffer.len().min(self.fetched.len());
        buffer[..n].copy_from_slice(&self.fetched.split_to(n));
        Ok(n)
    }
}

/// The error that an `io::Error` carries through a foreign reader or writer, or a new one of the given code.
pub(super) fn carried(error: io::Error, otherwise: impl FnOnce() -> Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(foreign) => otherwise().caused_by(foreign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails at every read.
    struct Broken;

    impl RandomRead for Broken {
        fn size(&self) -> Result<u64> {
            Ok(10)
        }

        fn read_range(&self, _: Range<u64>) -> Result<Bytes> {
            Err(Error::new(crate::error::Code::SourceChanged, "changed"))
        }
    }

    #[test]
    fn content_is_read_from_front_to_back() {
        let content = Bytes::from(vec![7; STRIDE as usize + 3]);
        let mut read = Vec::new();
        FrontToBack::new(Arc::new(content.clone())).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
    }

    #[test]
    fn a_failure_keeps_its_code_through_a_foreign_reader() {
        let error = FrontToBack::new(Arc::new(Broken)).unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(carried(error, Error::canceled).code, crate::error::Code::SourceChanged);
    }

    #[test]
    fn a_file_is_read_by_ranges() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        assert_eq!(file.size().unwrap(), 10);
        assert_eq!(file.read_range(2..5).unwrap(), Bytes::from_static(b"234"));
        assert_eq!(file.read_range(8..11).unwrap_err().code, crate::error::Code::StorageFailed);
    }
}
