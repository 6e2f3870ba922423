//! BGZF: its headers and end marker, where a block begins near a byte, and its blocks with their places.

use super::content::{CHUNK, Chunk};
use super::inflation::Inflation;
use super::read_ahead::Outlet;
use super::source::Source;
use crate::error::{Error, Result};
use crate::storage::Storage;
use noodles_bgzf as bgzf;
use std::io::{self, BufRead};
use std::num::NonZero;
use std::thread::available_parallelism;

/// Marks the end of every complete file (SAM specification, 4.1.2): an empty block.
pub(super) const END_MARKER: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,
    0,
];

const HEADER_LENGTH: usize = 18;
/// Longest block, compressed.
pub(super) const MAX_BLOCK: u64 = 1 << 16;

/// The length of the block that begins with these bytes, if they are a block's header.
pub(super) fn block_length(bytes: &[u8]) -> Option<u64> {
    let header = bytes.first_chunk::<HEADER_LENGTH>()?;
    let is_header = header[..4] == END_MARKER[..4] && header[10..16] == END_MARKER[10..16];
    is_header.then(|| u64::from(u16::from_le_bytes([header[16], header[17]])) + 1)
}

/// Whether a file ends with the end marker.
pub(super) fn has_end_marker(storage: &Storage, source: &Source) -> Result<bool> {
    let Some(start) = source.size.checked_sub(END_MARKER.len() as u64) else { return Ok(false) };
    Ok(storage.read_range(&source.info(), start..source.size)?[..] == END_MARKER)
}

/// The first block that begins at byte `from` or later, if there is one before the end of the file.
///
/// A header is 12 fixed bytes; that another one (or the end of the file) lies where its length says makes a chance
/// match in compressed data next to impossible.
pub(super) fn next_block(storage: &Storage, source: &Source, from: u64) -> Result<Option<u64>> {
    let end = source.size.min(from + 2 * MAX_BLOCK + HEADER_LENGTH as u64);
    let window = storage.read_range(&source.info(), from..end)?;
    let candidates = memchr::memmem::find_iter(&window, &END_MARKER[..4]);
    let mut blocks = candidates.filter(|&at| match block_length(&window[at..]) {
        Some(length) => {
            let next = at as u64 + length;
            from + next == source.size
                || block_length(window.get(next as usize..).unwrap_or_default()).is_some()
        }
        None => false,
    });
    match blocks.next() {
        Some(at) => Ok(Some(from + at as u64)),
        None if source.size - from > MAX_BLOCK => Err(Error::bad_input(format!(
            "{}: no BGZF block begins in the 65536 bytes from byte {from} on",
            source.uri
        ))),
        None => Ok(None),
    }
}

/// Threads that compress or decompress blocks: as many as there are processors, up to what keeps one parser busy.
pub(super) fn workers() -> NonZero<usize> {
    const MOST: NonZero<usize> = NonZero::new(4).expect("4 is not 0");
    available_parallelism().unwrap_or(NonZero::<usize>::MIN).min(MOST)
}

/// Sends the blocks from the one at byte `start` on, each with its place.
pub(super) fn produce(storage: &Storage, source: &Source, start: u64, outlet: &Outlet<Chunk>) -> Result<()> {
    let failed = |error: io::Error| super::content::decode_error(source, error);
    let stored = storage.open_at(&source.info(), start)?;
    let mut reader = bgzf::io::MultithreadedReader::with_worker_count(workers(), stored);
    let mut chunk = Chunk::default();
    let mut inflation = Inflation::of(source);
    let mut offset = 0;
    loop {
        let block = reader.fill_buf().map_err(failed)?;
        let length = block.len();
        if length == 0 || chunk.bytes.len() + length > CHUNK {
            if !chunk.bytes.is_empty() && !outlet.send(std::mem::take(&mut chunk)) || length == 0 {
                return Ok(());
            }
            chunk.bytes.reserve_exact(CHUNK);
        }
        chunk.bytes.extend_from_slice(block);
        let stored = reader.virtual_position().compressed();
        inflation.add(length, stored)?;
        chunk.blocks.push((offset, start + stored));
        reader.consume(length);
        offset += length as u64;
    }
}
