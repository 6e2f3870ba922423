//! The directory of a zip archive as `torch.save` writes it: where each entry's bytes lie. Nothing is copied.
//!
//! Entries are stored uncompressed, which is what lets a tensor be read in place.

use super::{PickleError, refuse};
use std::collections::HashMap;
use std::ops::Range;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;
const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
const DIRECTORY_ENTRY_LENGTH: usize = 46;
pub(super) const LOCAL_ENTRY: [u8; 4] = *b"PK\x03\x04";
const LOCAL_ENTRY_LENGTH: usize = 30;
const MAX_COMMENT: usize = u16::MAX as usize;
const EXTRA_64: u16 = 1;
/// A 32-bit field that says this has its value in the 64-bit extra field.
const IN_EXTRA: u32 = u32::MAX;
/// Far more than any model has tensors.
const MAX_ENTRIES: u64 = 1 << 17;

/// The entries of an archive: the bytes of each in the file, by name.
pub(super) struct Archive<'a> {
    pub entries: HashMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    pub fn read(file: &'a [u8]) -> Result<Self, PickleError> {
        let (count, mut at) = directory(file)?;
        if count > MAX_ENTRIES {
            return refuse(format!("its zip directory has {count} entries; allowed are {MAX_ENTRIES}"));
        }
        let mut entries = HashMap::new();
        for _ in 0..count {
            let entry = Entry::read(file, at)?;
            at = entry.next;
            let range = entry.data(file)?;
            if entries.insert(entry.name, range).is_some() {
                return refuse(format!("it holds {:?} twice", entry.name));
            }
        }
        Ok(Archive { entries })
    }
}

/// Number of entries and start of the directory.
fn directory(file: &[u8]) -> Result<(u64, usize), PickleError> {
    let cut = || PickleError::new("it is cut off: the directory at its end is missing");
    let first = file.len().saturating_sub(END_LENGTH + MAX_COMMENT);
    let last = file.len().checked_sub(END_LENGTH).ok_or_else(cut)?;
    let end = (first..=last).rev().find(|at| file[*at..].starts_with(&END)).ok_or_else(cut)?;
    let is_64 = end.checked_sub(LOCATOR_64_LENGTH).filter(|at| file[*at..].starts_with(&LOCATOR_64));
    let (count, start) = match is_64 {
        Some(locator) => {
            let end = place(u64_at(file, locator + 8)?)?;
            if bytes_at(file, end)? != END_64 {
                return Err(cut());
            }
            (u64_at(file, end + 32)?, u64_at(file, end + 48)?)
        }
        None => (u16_at(file, end + 10)?.into(), u32_at(file, end + 16)?.into()),
    };
    Ok((count, place(start)?))
}

/// One entry of the directory.
struct Entry<'a> {
    name: &'a str,
    size: usize,
    local: usize,
    next: usize,
}

impl<'a> Entry<'a> {
    fn read(file: &'a [u8], at: usize) -> Result<Self, PickleError> {
        if bytes_at(file, at)? != DIRECTORY_ENTRY {
            return refuse("its zip directory is damaged");
        }
        let [name_length, extra_length, comment_length] =
            [28, 30, 32].map(|field| u16_at(file, at + field).map(usize::from));
        let (name_length, extra_length, comment_length) = (name_length?, extra_length?, comment_length?);
        let extra = at + DIRECTORY_ENTRY_LENGTH + name_length;
        let next = extra + extra_length + comment_length;
        let (Some(name), Some(extra)) =
            (file.get(at + DIRECTORY_ENTRY_LENGTH..extra), file.get(extra..extra + extra_length))
        else {
            return refuse("its zip directory is cut off");
        };
        let name = std::str::from_utf8(name).map_err(|_| PickleError::new("an entry's name is not UTF-8"))?;
        if u16_at(file, at + 10)? != 0 || u16_at(file, at + 8)? & 1 != 0 {
            return refuse(format!(
                "entry {name:?} is compressed or encrypted: torch.save stores entries as they are"
            ));
        }
        let mut wide = Wide::find(extra);
        let size = wide.or(u32_at(file, at + 24)?)?;
        let stored = wide.or(u32_at(file, at + 20)?)?;
        let local = wide.or(u32_at(file, at + 42)?)?;
        if size != stored {
            return refuse(format!("entry {name:?} has two sizes: {size} and {stored} bytes"));
        }
        Ok(Entry { name, size: place(size)?, local: place(local)?, next })
    }

    /// Where its bytes lie: after a second header with fields of its own length.
    fn data(&self, file: &[u8]) -> Result<Range<usize>, PickleError> {
        if bytes_at(file, self.local)? != LOCAL_ENTRY {
            return refuse(format!("entry {:?} is not where the zip directory says", self.name));
        }
        let fields =
            usize::from(u16_at(file, self.local + 26)?) + usize::from(u16_at(file, self.local + 28)?);
        let start = self.local + LOCAL_ENTRY_LENGTH + fields;
        match start.checked_add(self.size) {
            Some(end) if end <= file.len() => Ok(start..end),
            _ => refuse(format!(
                "entry {:?} of {} bytes reaches past the end of the file",
                self.name, self.size
            )),
        }
    }
}

/// The 64-bit values of an entry, in the order of the fields that are too small for theirs.
struct Wide<'a>(&'a [u8]);

impl<'a> Wide<'a> {
    fn find(mut extra: &'a [u8]) -> Self {
        while let Some((header, rest)) = extra.split_first_chunk::<4>() {
            let [kind, length] = [0, 2].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
            let Some((body, rest)) = rest.split_at_checked(length.into()) else { break };
            if kind == EXTRA_64 {
                return Wide(body);
            }
            extra = rest;
        }
        Wide(&[])
    }

    fn or(&mut self, narrow: u32) -> Result<u64, PickleError> {
        if narrow != IN_EXTRA {
            return Ok(narrow.into());
        }
        let value = u64_at(self.0, 0)?;
        self.0 = &self.0[8..];
        Ok(value)
    }
}

fn place(value: u64) -> Result<usize, PickleError> {
    // A quarter of the range leaves room to add the lengths of 16-bit fields.
    usize::try_from(value)
        .ok()
        .filter(|place| *place <= usize::MAX / 4)
        .ok_or_else(|| PickleError::new("its zip directory names a place beyond any file"))
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], PickleError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or_else(|| PickleError::new("its zip directory is cut off or damaged"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, PickleError> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, PickleError> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, PickleError> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}
