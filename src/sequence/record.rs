//! One sequence record: the bytes of the input, and where its parts are in them.

use super::{Compression, Dataset, Format};
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Longest record that is read, in bytes of the input; more is `BadInput`, so that no input can fill the memory.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Longest id shown in a message, in characters.
const SHOWN_ID: usize = 80;

/// One record. Bytes are as in the input: nothing is folded or translated.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Index of the source in [`Dataset::sources`]
    pub source: u32,
    /// Grows in file order. Plain: byte offset of the record. BGZF: its virtual offset. gzip and zstd: byte offset in
    /// the decompressed content. Parquet: row, from 0
    pub position: u64,
    /// The raw record, then what cannot be a range of it: the sequence of wrapped lines, the line number of text
    bytes: Vec<u8>,
    raw_length: usize,
    header: Range<usize>,
    sequence: Range<usize>,
    format: Format,
}

impl Record {
    /// From the bytes of one FASTA record, `>` first, without the last line break; `header_length` is without `>` and line end.
    #[inline]
    pub(super) fn fasta(source: u32, position: u64, bytes: Vec<u8>, header_length: usize) -> Record {
        let header = 1..1 + header_length;
        let line_end = header.end + usize::from(bytes.get(header.end) == Some(&b'\r'));
        let body = bytes.len().min(line_end + 1)..bytes.len();
        Record::new((source, position), Format::Fasta, bytes, header, body)
    }

    /// From one line of text, without its line break; lines count from 1.
    pub(super) fn text(source: u32, position: u64, line: &[u8], number: u64) -> Record {
        let bytes = [line, number.to_string().as_bytes()].concat();
        let header = line.len()..bytes.len();
        let mut record = Record::new((source, position), Format::Text, bytes, header, 0..line.len());
        record.raw_length = line.len();
        record
    }

    /// From one row.
    pub(super) fn row(source: u32, row: u64, id: &[u8], sequence: &[u8]) -> Record {
        let bytes = [id, sequence].concat();
        let body = id.len()..bytes.len();
        Record::new((source, row), Format::Parquet, bytes, 0..id.len(), body)
    }

    /// From bytes with a header and the lines of a sequence in them.
    #[inline]
    fn new(
        (source, position): (u32, u64),
        format: Format,
        bytes: Vec<u8>,
        header: Range<usize>,
        body: Range<usize>,
    ) -> Record {
        let raw_length = bytes.len();
        let trimmed = bytes[body.clone()].trim_ascii_end();
        let end = body.start + trimmed.len();
        let start = end - trimmed.trim_ascii_start().len();
        let (bytes, sequence) = match memchr::memchr(b'\n', &bytes[start..end]) {
            None => (bytes, start..end),
            Some(_) => joined(bytes, start..end),
        };
        Record { source, position, bytes, raw_length, header, sequence, format }
    }

    /// FASTA: the header line without `>` and line end. Text: the line number, from 1. Parquet: the id.
    pub fn header(&self) -> &[u8] {
        &self.bytes[self.header.clone()]
    }

    /// The header up to its first whitespace; never empty. Any bytes: FASTA headers need not be UTF-8.
    pub fn id(&self) -> &[u8] {
        let header = self.header();
        let end = header.iter().position(u8::is_ascii_whitespace).unwrap_or(header.len());
        &header[..end]
    }

    /// The residues: without line breaks, and without whitespace at the ends of lines. May be empty.
    pub fn sequence(&self) -> &[u8] {
        &self.bytes[self.sequence.clone()]
    }

    /// The bytes of the input, without the line break at the end. Parquet: id and sequence, joined.
    pub fn raw(&self) -> &[u8] {
        &self.bytes[..self.raw_length]
    }

    /// The stable hash that every random choice is made by: XXH3 (64 bits, seed 0) of header, one `\n`, sequence.
    /// Depends neither on where the record lies nor on how its lines are wrapped.
    pub fn hash(&self) -> u64 {
        let (header, sequence) = (&self.header, &self.sequence);
        let adjacent = header.end + 1 == sequence.start && self.bytes[header.end] == b'\n';
        if adjacent {
            return xxh3_64(&self.bytes[header.start..sequence.end]);
        }
        let mut hash = Xxh3Default::new();
        hash.update(self.header());
        hash.update(b"\n");
        hash.update(self.sequence());
        hash.digest()
    }

    /// Writes the record as FASTA: the bytes of the input if it was FASTA (a missing line break at the end is added),
    /// else `>id`, line break, sequence, line break.
    pub fn write_fasta(&self, out: &mut impl Write) -> io::Result<()> {
        if self.format == Format::Fasta {
            out.write_all(self.raw())?;
            return out.write_all(b"\n");
        }
        out.write_all(b">")?;
        out.write_all(self.header())?;
        out.write_all(b"\n")?;
        out.write_all(self.sequence())?;
        out.write_all(b"\n")
    }

    /// Names the record for a person: file, id and place.
    pub fn describe(&self, dataset: &Dataset) -> String {
        let source = dataset.sources().get(self.source as usize);
        let uri = source.map_or("?", |source| source.uri.as_str());
        let compression = source.map_or(Compression::None, |source| source.compression);
        let place = match self.format {
            Format::Text => return format!("{uri}, line {}", shown(self.header())),
            Format::Parquet => format!("row {} (counted from 0)", self.position),
            Format::Fasta => compression.place(self.position),
        };
        format!("{uri}, record `{}` at {place}", shown(self.id()))
    }
}

impl fmt::Debug for Record {
    /// Short, as a sequence may have millions of residues.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, residues) = (shown(self.id()), self.sequence().len());
        write!(
            f,
            "Record {{ source: {}, position: {}, id: {id}, residues: {residues} }}",
            self.source, self.position
        )
    }
}

/// An id as it may stand in a message.
pub(super) fn shown(id: &[u8]) -> String {
    let text: String =
        String::from_utf8_lossy(&id[..id.len().min(4 * SHOWN_ID)]).chars().take(SHOWN_ID).collect();
    if text.len() < id.len() && text.chars().count() == SHOWN_ID { text + "…" } else { text }
}

/// Appends the lines of a sequence without what separates them; gives where they are then.
#[inline(never)]
fn joined(mut bytes: Vec<u8>, lines: Range<usize>) -> (Vec<u8>, Range<usize>) {
    let appended = bytes.len();
    bytes.reserve_exact(lines.len());
    let mut line = lines.start;
    while line < lines.end {
        let line_end =
            memchr::memchr(b'\n', &bytes[line..lines.end]).map_or(lines.end, |length| line + length);
        let content = bytes[line..line_end].trim_ascii_end();
        let content_end = line + content.len();
        let content_start = content_end - content.trim_ascii_start().len();
        bytes.extend_from_within(content_start..content_end);
        line = line_end + 1;
    }
    let end = bytes.len();
    (bytes, appended..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fasta(raw: &str) -> Record {
        let raw = raw.strip_suffix('\n').unwrap_or(raw);
        let header_length = raw[1..].find(['\r', '\n']).unwrap_or(raw.len() - 1);
        Record::fasta(0, 0, raw.as_bytes().to_vec(), header_length)
    }

    #[test]
    fn sequences_lose_line_breaks_and_whitespace_at_line_ends() {
        for (raw, header, sequence) in [
            (">a\nACGU\n", "a", "ACGU"),
            (">a b\r\nACGU\r\n", "a b", "ACGU"),
            (">a\nAC\nGU\n", "a", "ACGU"),
            (">a\r\nAC\r\nGU\r\nA", "a", "ACGUA"),
            (">a\n AC \n\n\tGU\t\n\n", "a", "ACGU"),
            (">a\nAC GU\n", "a", "AC GU"),
            (">a\nacgu", "a", "acgu"),
            (">a", "a", ""),
            (">a\n", "a", ""),
            (">a\r\n\r\n", "a", ""),
        ] {
            let record = fasta(raw);
            assert_eq!(
                (record.header(), record.sequence()),
                (header.as_bytes(), sequence.as_bytes()),
                "{raw:?}"
            );
            assert_eq!(record.raw(), raw.strip_suffix('\n').unwrap_or(raw).as_bytes());
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_wrapping_line_ends_or_place() {
        let expected = xxh3_64(b"a b\nACGU");
        for raw in [">a b\nACGU\n", ">a b\r\nACGU\r\n", ">a b\nAC\nGU", ">a b\n\nACGU\n"] {
            assert_eq!(fasta(raw).hash(), expected, "{raw:?}");
        }
        assert_eq!(Record::row(3, 9, b"a b", b"ACGU").hash(), expected);
        assert_ne!(fasta(">a b\nACGA\n").hash(), expected);
    }

    #[test]
    fn fasta_is_written_as_it_was_read_and_other_forms_on_two_lines() {
        let written = |record: Record| {
            let mut out = Vec::new();
            record.write_fasta(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(fasta(">a b\r\nAC\r\nGU\r\n")), ">a b\r\nAC\r\nGU\r\n");
        assert_eq!(written(fasta(">a\nAC")), ">a\nAC\n");
        assert_eq!(written(Record::text(0, 0, b"ACGU\r", 12)), ">12\nACGU\n");
        assert_eq!(written(Record::row(0, 4, b"id 1", b"ACGU")), ">id 1\nACGU\n");
    }

    #[test]
    fn ids_end_at_whitespace_and_long_ones_are_shortened_in_messages() {
        assert_eq!(fasta(">a\tb c\nA\n").id(), b"a");
        assert_eq!(shown(b"\xff\xfeid"), "\u{fffd}\u{fffd}id");
        assert_eq!(shown(&[b'x'; 200]).chars().count(), SHOWN_ID + 1);
    }
}
