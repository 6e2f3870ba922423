//! Text with one sequence on each line; blank lines hold no record.

use super::content::{Content, read_error};
use super::record::{MAX_RECORD_BYTES, Record};
use super::source::Source;
use crate::error::{Error, Result};
use crate::storage::{Location, Storage};
use std::io::{BufRead, Read};
use std::ops::Range;

/// The records of one part of a text source. A record's id is its line number, so a part is read from the start of
/// the file to count lines, and what lies before the part is passed over.
pub(super) struct TextRecords {
    content: Content,
    uri: Location,
    source: u32,
    range: Range<u64>,
    lines: u64,
    buffer: Vec<u8>,
}

impl TextRecords {
    /// A line belongs to the part if the line break before it lies in `range` (in BGZF: if its block begins there);
    /// the first line belongs to the first byte.
    pub(super) fn open(
        storage: &Storage,
        source: &Source,
        index: u32,
        range: Range<u64>,
    ) -> Result<TextRecords> {
        let range = if source.is_splittable() { range } else { 0..u64::MAX };
        let content = Content::open(storage, source, 0)?;
        Ok(TextRecords {
            content,
            uri: source.uri.clone(),
            source: index,
            range,
            lines: 0,
            buffer: Vec::new(),
        })
    }

    /// The next record; none after the last, and after an error.
    pub(super) fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            let offset = self.content.offset();
            self.buffer.clear();
            let limit = MAX_RECORD_BYTES as u64 + 1;
            let read = (&mut self.content).take(limit).read_until(b'\n', &mut self.buffer);
            let length = read.map_err(read_error)?;
            if length == 0 {
                return Ok(None);
            }
            self.lines += 1;
            if length > MAX_RECORD_BYTES {
                let (uri, line) = (&self.uri, self.lines);
                return Err(Error::bad_input(format!(
                    "{uri}: line {line} is longer than the {MAX_RECORD_BYTES} bytes allowed"
                )));
            }
            let place = if offset == 0 { 0 } else { self.content.place(offset - 1) };
            if place >= self.range.end {
                return Ok(None);
            }
            if place >= self.range.start && !self.buffer.trim_ascii().is_empty() {
                let position = self.content.position(offset);
                let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
                return Ok(Some(Record::text(self.source, position, line, self.lines)));
            }
        }
    }
}
