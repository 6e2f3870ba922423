//! FASTA records, parsed by needletail.
//!
//! needletail gives header, sequence and offset of every record. What the contract asks beyond that comes from a tap
//! on the bytes that it reads: the place of each record in a BGZF file, a limit on its length, our own errors, and
//! the exact end of the last record. For that the tap adds two line breaks at the end, which needletail leaves out of
//! the last record: so a last record without a line break, or without any sequence, is parsed as any other.

use super::bgzf;
use super::content::{Content, read_error};
use super::record::{MAX_RECORD_BYTES, Record, shown};
use super::source::{Compression, Source};
use crate::error::{Error, Result};
use crate::storage::{Location, Storage};
use needletail::parser::{FastaReader, FastxReader};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that needletail holds at once, unless a record is longer.
const BUFFER: usize = 256 << 10;
/// See the head of this file.
const PADDING: usize = 2;

/// The records of one part of a FASTA source.
pub(super) struct FastaRecords {
    reader: FastaReader<TapReader>,
    tap: Arc<Tap>,
    uri: Location,
    compression: Compression,
    source: u32,
    /// Offset of the first record
    base: u64,
    /// A record belongs to the part if the line break before it lies before this byte of the file
    end: u64,
    /// Records before this position are not told of
    from: u64,
}

impl FastaRecords {
    /// The records that belong to `range` of the source: those after a line break that lies in it (in BGZF: whose
    /// block begins in it); the first record of the file belongs to its first byte. `None` if there are none.
    pub(super) fn open(
        storage: &Storage,
        source: &Source,
        index: u32,
        range: Range<u64>,
    ) -> Result<Option<FastaRecords>> {
        let from = match source.compression {
            Compression::Bgzf if range.start > 0 => bgzf::next_block(storage, source, range.start)?,
            Compression::Bgzf | Compression::None => Some(range.start),
            Compression::Gzip | Compression::Zstd => Some(0),
        };
        let Some(from) = from.filter(|from| *from < range.end) else { return Ok(None) };
        let mut content = Content::open(storage, source, from)?;
        if !skip_to_record(&mut content, source, from == 0)? {
            return match from {
                0 => Err(Error::bad_input(format!("{} holds no record", source.uri))),
                _ => Ok(None),
            };
        }
        let base = content.offset();
        let end = if source.is_splittable() { range.end } else { u64::MAX };
        let (uri, compression) = (source.uri.clone(), source.compression);
        let tapped = Tapped { uri: uri.clone(), compression, content, padding: PADDING, failure: None };
        let tap = Arc::new(Tap {
            record: AtomicU64::new(base),
            end: AtomicU64::new(u64::MAX),
            tapped: Mutex::new(tapped),
        });
        let reader = FastaReader::with_capacity(TapReader(tap.clone()), BUFFER);
        Ok(Some(FastaRecords { reader, tap, uri, compression, source: index, base, end, from: 0 }))
    }

    /// The next record; none after the last, and after an error.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            let parsed = match self.reader.next() {
                None => return Ok(None),
                Some(Ok(parsed)) => parsed,
                Some(Err(error)) => {
                    let ours = self.tap.lock().failure.take();
                    return Err(ours.unwrap_or_else(|| Error::bad_input(format!("{}: {error}", self.uri))));
                }
            };
            let offset = self.base + parsed.position().byte();
            let all = parsed.all();
            let next = (offset + all.len() as u64 + 1).min(self.tap.end.load(Relaxed));
            let (line_break, position) = match self.compression {
                Compression::Bgzf => {
                    let content = &mut self.tap.lock().content;
                    (content.place(offset.saturating_sub(1)), content.position(offset))
                }
                _ => (offset.saturating_sub(1), offset),
            };
            if offset > 0 && line_break >= self.end {
                return Ok(None);
            }
            if next - offset > MAX_RECORD_BYTES as u64 {
                return Err(self.tap.lock().too_long(offset));
            }
            self.tap.record.store(next, Relaxed);
            if position < self.from {
                continue;
            }
            let header = parsed.id();
            if header.first().is_none_or(u8::is_ascii_whitespace) {
                return Err(Error::bad_input(format!(
                    "{}: a record without an id (header `{}`) at {}; allowed is `>` and at once a name",
                    self.uri,
                    shown(header),
                    self.compression.place(position)
                )));
            }
            // without its last line break, which needletail leaves out unless the content ends there
            let length = (next - offset) as usize;
            let raw = match all.get(..length) {
                Some(raw) => raw.strip_suffix(b"\n").unwrap_or(raw),
                None => all,
            };
            return Ok(Some(Record::fasta(self.source, position, raw.to_vec(), header.len())));
        }
    }

    /// Records at lesser positions are of no use any more.
    pub(super) fn pass_over(&mut self, position: u64) {
        self.from = position;
    }
}

/// Goes to the next `>` at the start of a line; false if there is none. Before the first of a file only blank lines
/// are allowed.
fn skip_to_record(content: &mut Content, source: &Source, at_file_start: bool) -> Result<bool> {
    let mut at_line_start = at_file_start;
    loop {
        let chunk = content.fill()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let mut skipped = 0;
        let mut found = at_line_start && chunk[0] == b'>';
        for line_break in memchr::memchr_iter(b'\n', if found { &[] } else { chunk }) {
            skipped = line_break + 1;
            found = chunk.get(skipped) == Some(&b'>');
            if found {
                break;
            }
        }
        if !found {
            at_line_start = skipped == chunk.len();
            skipped = chunk.len();
        }
        if at_file_start && !chunk[..skipped].trim_ascii().is_empty() {
            return Err(Error::bad_input(format!("{}: data before the first `>`", source.uri)));
        }
        std::io::BufRead::consume(content, skipped);
        if found {
            return Ok(true);
        }
    }
}

/// What needletail reads from. Both ends of it are on one thread; what is looked at for each record takes no lock.
struct Tap {
    /// Offset of the record that is being parsed
    record: AtomicU64,
    /// Offset of the end of the content, once seen
    end: AtomicU64,
    tapped: Mutex<Tapped>,
}

struct TapReader(Arc<Tap>);

struct Tapped {
    uri: Location,
    compression: Compression,
    content: Content,
    /// Line breaks still to be added at the end
    padding: usize,
    /// What ended the reading; needletail keeps only the text of an error
    failure: Option<Error>,
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Tapped> {
        self.tapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, tapped: &mut Tapped, buf: &mut [u8]) -> Result<usize> {
        let (offset, record) = (tapped.content.offset(), self.record.load(Relaxed));
        if offset - record > MAX_RECORD_BYTES as u64 {
            return Err(tapped.too_long(record));
        }
        let read = tapped.content.read(buf).map_err(read_error)?;
        if read > 0 || buf.is_empty() {
            return Ok(read);
        }
        self.end.store(offset, Relaxed);
        let padding = tapped.padding.min(buf.len());
        buf[..padding].fill(b'\n');
        tapped.padding -= padding;
        Ok(padding)
    }
}

impl Read for TapReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut tapped = self.0.lock();
        self.0.read(&mut tapped, buf).map_err(|error| {
            let text = error.to_string();
            tapped.failure = Some(error);
            io::Error::other(text)
        })
    }
}

impl Tapped {
    fn too_long(&mut self, record: u64) -> Error {
        let place = self.compression.place(self.content.position(record));
        Error::bad_input(format!(
            "{}: the record at {place} is longer than the {MAX_RECORD_BYTES} bytes allowed",
            self.uri
        ))
    }
}
