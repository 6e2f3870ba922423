//! The decompressed content of a source, with the place of every byte; reading or decompression runs ahead on its own thread.

use super::bgzf;
use super::inflation::Inflation;
use super::read_ahead::{Outlet, ReadAhead};
use super::source::{Compression, Source};
use crate::error::{Error, Result};
use crate::storage::{ObjectReader, Storage, unwrap_io};
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes of content that are handed over at once: enough to make the hand-over cheap, few enough for the cache that cores share.
pub(super) const CHUNK: usize = 1 << 20;
/// Chunks that wait to be parsed; with [`CHUNK`] they bound the memory of a reading thread to 4 MiB.
const DEPTH: usize = 4;

/// Some bytes of content; for BGZF with the (content offset, byte of the file) at which its blocks begin.
#[derive(Default)]
pub(super) struct Chunk {
    pub bytes: Vec<u8>,
    pub blocks: Vec<(u64, u64)>,
}

/// Reads content from a place of a source on. Offsets count from the first byte read, or, for plain sources, from the
/// start of the file.
pub(super) struct Content {
    origin: Origin,
    chunk: Vec<u8>,
    consumed: usize,
    /// Offset of the first byte of `chunk`
    start: u64,
    compression: Compression,
    /// Blocks that may still be asked for, in order
    blocks: VecDeque<(u64, u64)>,
}

enum Origin {
    /// Storage reads ahead by itself where it is remote
    Remote(Box<ObjectReader>),
    Chunks(ReadAhead<Chunk>),
}

impl Content {
    /// From byte `from` of the source, which must be 0 or, for BGZF, the start of a block, or, for plain, any.
    pub(super) fn open(storage: &Storage, source: &Source, from: u64) -> Result<Content> {
        let compression = source.compression;
        let (storage, source) = (storage.clone(), source.clone());
        let (origin, start) = match compression {
            Compression::None if source.uri.is_local() => {
                let stored = storage.open_at(&source.info(), from)?;
                (ahead(move |outlet| send_plain(stored, outlet))?.0, from)
            }
            Compression::None => (Origin::Remote(Box::new(storage.open_at(&source.info(), from)?)), from),
            Compression::Gzip => ahead(move |outlet| {
                let (stored, count) = counted(storage.open(&source.info())?);
                send_all(gzip(stored), &source, &count, outlet)
            })?,
            Compression::Zstd => ahead(move |outlet| {
                let (stored, count) = counted(storage.open(&source.info())?);
                send_all(zstd(stored, &source)?, &source, &count, outlet)
            })?,
            Compression::Bgzf => ahead(move |outlet| bgzf::produce(&storage, &source, from, outlet))?,
        };
        Ok(Content { origin, chunk: Vec::new(), consumed: 0, start, compression, blocks: VecDeque::new() })
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.consumed as u64
    }

    /// The rest of the current chunk, or the next chunk; empty at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        if self.consumed == self.chunk.len() {
            self.start += self.chunk.len() as u64;
            self.consumed = 0;
            match &mut self.origin {
                Origin::Remote(reader) => {
                    self.chunk.resize(CHUNK, 0);
                    let read = reader.read(&mut self.chunk);
                    self.chunk.truncate(*read.as_ref().unwrap_or(&0));
                    read.map_err(read_error)?;
                }
                Origin::Chunks(chunks) => {
                    let chunk = chunks.next().transpose()?.unwrap_or_default();
                    self.chunk = chunk.bytes;
                    self.blocks.extend(chunk.blocks);
                }
            }
        }
        Ok(&self.chunk[self.consumed..])
    }

    /// The position that a record at `offset` has: see [`Record::position`](super::Record::position). Offsets must
    /// not decrease from call to call, also with [`place`](Content::place).
    pub(super) fn position(&mut self, offset: u64) -> u64 {
        match self.compression {
            Compression::Bgzf => {
                let (block_offset, block) = self.block(offset);
                (block << 16) | (offset - block_offset)
            }
            _ => offset,
        }
    }

    /// The byte of the file that decides to which shard `offset` belongs: itself, or the start of its BGZF block.
    pub(super) fn place(&mut self, offset: u64) -> u64 {
        match self.compression {
            Compression::Bgzf => self.block(offset).1,
            _ => offset,
        }
    }

    fn block(&mut self, offset: u64) -> (u64, u64) {
        while self.blocks.get(1).is_some_and(|next| next.0 <= offset) {
            self.blocks.pop_front();
        }
        self.blocks.front().copied().unwrap_or_default()
    }
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Origin::Remote(reader) = &mut self.origin
            && self.consumed == self.chunk.len()
        {
            // Straight to where it is wanted.
            let read = reader.read(buf)?;
            self.start += read as u64;
            return Ok(read);
        }
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill().map_err(io::Error::other)
    }

    fn consume(&mut self, length: usize) {
        self.consumed += length;
    }
}

fn ahead(produce: impl FnOnce(&Outlet<Chunk>) -> Result<()> + Send + 'static) -> Result<(Origin, u64)> {
    Ok((Origin::Chunks(ReadAhead::spawn(DEPTH, produce)?), 0))
}

fn send_plain(mut reader: ObjectReader, outlet: &Outlet<Chunk>) -> Result<()> {
    loop {
        let mut bytes = Vec::with_capacity(CHUNK);
        reader.append(&mut bytes, CHUNK as u64).map_err(read_error)?;
        if bytes.is_empty() || !outlet.send(Chunk { bytes, blocks: Vec::new() }) {
            return Ok(());
        }
    }
}

/// All members, one after the other.
pub(super) fn gzip(reader: impl Read) -> impl Read {
    MultiGzDecoder::new(BufReader::with_capacity(CHUNK, reader))
}

/// All frames, one after the other.
pub(super) fn zstd(reader: impl Read, source: &Source) -> Result<impl Read> {
    zstd::stream::read::Decoder::new(reader).map_err(|error| decode_error(source, error))
}

/// A reader that counts the bytes that went through it.
struct Counted<R>(R, Rc<Cell<u64>>);

fn counted<R: Read>(reader: R) -> (Counted<R>, Rc<Cell<u64>>) {
    let count = Rc::new(Cell::new(0));
    (Counted(reader, count.clone()), count)
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
}

fn send_all(
    mut reader: impl Read,
    source: &Source,
    stored: &Cell<u64>,
    outlet: &Outlet<Chunk>,
) -> Result<()> {
    let mut inflation = Inflation::of(source);
    loop {
        let mut bytes = vec![0; CHUNK];
        let length = read_full(&mut reader, &mut bytes).map_err(|error| decode_error(source, error))?;
        bytes.truncate(length);
        inflation.add(length, stored.get())?;
        if length == 0 || !outlet.send(Chunk { bytes, blocks: Vec::new() }) {
            return Ok(());
        }
    }
}

/// Fills `bytes` unless the end comes first; returns how many were read.
pub(super) fn read_full(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match reader.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// An error of reading content: ours, as what else can fail was named when it was produced.
pub(super) fn read_error(error: io::Error) -> Error {
    unwrap_io(error).unwrap_or_else(|error| Error::internal("cannot read content").caused_by(error))
}

/// What a failed decompression means: the storage failed, the file was cut, or it is damaged.
pub(super) fn decode_error(source: &Source, error: io::Error) -> Error {
    let (uri, compression) = (&source.uri, source.compression);
    unwrap_io(error).unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::bad_input(format!("{uri}: the {compression} data ends early: the file was cut"))
        }
        _ => Error::bad_input(format!("{uri}: the {compression} data is damaged")).caused_by(error),
    })
}
