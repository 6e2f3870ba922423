//! Telling format and compression from the first bytes of a file.

use super::content::{gzip, read_full, zstd};
use super::fingerprint::fingerprint;
use super::source::{Compression, Format, Source};
use super::{InputFormat, InputOptions, bgzf, content, parquet};
use crate::error::{Error, Result};
use crate::storage::{ObjectInfo, Storage};

/// Bytes looked at; more than the longest block of zstd (128 KiB), so that at least one can be decompressed.
const HEAD: u64 = 256 << 10;
/// Bytes of content in which the first record must begin.
const CONTENT_HEAD: usize = 64 << 10;

const ALLOWED: &str = "allowed are FASTA, one sequence a line (--input-format text) and Parquet, \
                       plain or compressed by gzip, bgzip or zstd";

pub(super) fn detect(storage: &Storage, info: ObjectInfo, options: &InputOptions) -> Result<Source> {
    let ObjectInfo { location: uri, size, etag } = info.clone();
    if size == 0 {
        return Err(Error::bad_input(format!("{uri} is empty")));
    }
    let head = storage.read_range(&info, 0..size.min(HEAD))?;
    let compression = match &head[..] {
        bytes if bgzf::block_length(bytes).is_some() => Compression::Bgzf,
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or a skippable frame, which parallel compressors write first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] => return Err(refused(&info, "is compressed by bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(refused(&info, "is compressed by xz")),
        [b'P', b'K', 3, 4, ..] => return Err(refused(&info, "is a zip archive")),
        _ => Compression::None,
    };
    let fingerprint = fingerprint(storage, &info)?;
    let mut source = Source { uri, size, etag, fingerprint, format: Format::Text, compression };
    if compression == Compression::Bgzf && !bgzf::has_end_marker(storage, &source)? {
        return Err(Error::bad_input(format!(
            "{}: the BGZF data has no end marker: the file was cut (or other gzip data was appended)",
            source.uri
        )));
    }
    let content = decompressed(&head, &source)?;
    source.format = format_of(&info, &content, compression, options.input_format)?;
    if source.format == Format::Parquet {
        parquet::check(storage, &source, options)?;
    }
    Ok(source)
}

fn refused(info: &ObjectInfo, what: &str) -> Error {
    Error::bad_input(format!("{} {what}: {ALLOWED}", info.location))
}

/// The first bytes of the content. An error after some of them is for the one who reads on to find.
fn decompressed(head: &[u8], source: &Source) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut bytes = [0; 4096];
    let mut reader: Box<dyn std::io::Read + '_> = match source.compression {
        Compression::None => return Ok(head[..head.len().min(CONTENT_HEAD)].to_vec()),
        Compression::Gzip | Compression::Bgzf => Box::new(gzip(head)),
        Compression::Zstd => Box::new(zstd(head, source)?),
    };
    while content.len() < CONTENT_HEAD {
        match read_full(&mut reader, &mut bytes) {
            Ok(0) => break,
            Ok(length) => content.extend_from_slice(&bytes[..length]),
            Err(error) if content.is_empty() => return Err(content::decode_error(source, error)),
            Err(_) => break,
        }
    }
    Ok(content)
}

fn format_of(
    info: &ObjectInfo,
    content: &[u8],
    compression: Compression,
    asked: InputFormat,
) -> Result<Format> {
    let is_parquet = content.starts_with(b"PAR1");
    if is_parquet && compression != Compression::None {
        return Err(refused(info, "is a compressed Parquet file, which cannot be read in parts"));
    }
    match (is_parquet, asked) {
        (true, InputFormat::Auto | InputFormat::Parquet) => return Ok(Format::Parquet),
        (true, _) => return Err(refused(info, "is Parquet, not what --input-format says")),
        (false, InputFormat::Parquet) => return Err(refused(info, "is not Parquet")),
        _ => {}
    }
    let first = content.trim_ascii_start();
    let at_line_start = content[..content.len() - first.len()].last().is_none_or(|byte| *byte == b'\n');
    match (first.first(), asked) {
        (None, _) => Err(refused(info, "holds no record in its first 65536 bytes")),
        (Some(b'>'), InputFormat::Text) => Err(refused(info, "is FASTA, not one sequence a line")),
        (Some(_), InputFormat::Text) => Ok(Format::Text),
        (Some(b'>'), _) if at_line_start => Ok(Format::Fasta),
        (Some(b'@'), _) => Err(refused(info, "looks like FASTQ, which has qualities and is not taken")),
        _ => Err(Error::bad_input(format!(
            "{} is not FASTA: it does not begin with `>`; pass --input-format text for one sequence a line",
            info.location
        ))),
    }
}
