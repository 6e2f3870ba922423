//! Reads the files of `torch.save` (`.pth`, `.pt`, `pytorch_model.bin`) and executes nothing.
//!
//! A pickle is a program. Here a small machine steps through it ([`machine`]) and knows only tensors and plain
//! containers ([`allowed`]): whatever else a file asks for is refused by its name. Tensors are places in the file
//! ([`StoredTensor`]); their bytes are never copied. Both of PyTorch's forms are read: zip archives, and the plain
//! sequence of pickles of releases before 1.6.
//!
//! Whatever the bytes, reading ends, without recursion and within the limits below.

mod allowed;
mod archive;
#[cfg(test)]
mod assemble;
mod checkpoint;
#[cfg(test)]
mod fuzz;
mod legacy;
mod machine;
mod objects;
mod opcodes;
#[cfg(test)]
mod tests;

use super::stored::StoredTensor;
use archive::Archive;
use machine::Machine;
use serde_json::{Map, Value};
use std::fmt;

/// Longest pickle. Published checkpoints of a billion weights have some 100 kB, with an optimizer's state 1 MB.
const MAX_PICKLE: usize = 16 << 20;
/// Objects, with the items of containers, that a pickle may make.
const MAX_OBJECTS: usize = 1 << 20;
/// Depth of open containers, and of the stack.
const MAX_MARKS: usize = 1000;
const MAX_STACK: usize = 1 << 18;
/// Longest name of a tensor or argument, and longest text that an argument may hold.
const MAX_NAME: usize = 512;
const MAX_TEXT: usize = 4096;
const MAX_ARGUMENTS: usize = 4096;
const MAX_TENSORS: usize = 1 << 16;
const MAX_DIMENSIONS: usize = 8;
/// How often the tensors of a file may share its bytes, as tied weights do: all of them together are read.
const MAX_SHARING: usize = 4;

/// What a file of `torch.save` holds.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// Tensors by their own names
    pub tensors: Vec<(String, StoredTensor)>,
    /// The numbers, flags and texts of the arguments saved beside them
    pub arguments: Map<String, Value>,
}

/// Why a file is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PickleError(String);

impl PickleError {
    fn new(reason: impl Into<String>) -> Self {
        PickleError(reason.into())
    }
}

impl fmt::Display for PickleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PickleError {}

fn refuse<T>(reason: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::new(reason))
}

/// Whether a file begins like one of `torch.save`.
pub(super) fn is_torch(file: &[u8]) -> bool {
    file.starts_with(&archive::LOCAL_ENTRY) || file.starts_with(&[opcodes::PROTO])
}

/// Reads the names and places of a file's tensors.
pub(super) fn read(file: &[u8]) -> Result<Checkpoint, PickleError> {
    if !file.starts_with(&archive::LOCAL_ENTRY) {
        return legacy::read(file);
    }
    let archive = Archive::read(file)?;
    let mut pickles = archive.entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
    let (Some(folder), None) = (pickles.next(), pickles.next()) else {
        return refuse("it is a zip archive, but not one of torch.save: that holds one data.pkl");
    };
    let entry = |name: &str| archive.entries.get(format!("{folder}{name}").as_str()).cloned();
    if entry("byteorder").is_some_and(|range| file[range] != *b"little") {
        return refuse("its numbers are big-endian: save it on a little-endian machine");
    }
    let pickle = entry("data.pkl").and_then(|range| file.get(range)).unwrap_or_default();
    let (machine, root, _) = Machine::run(pickle)?;
    checkpoint::read(&machine.heap, root, file.len(), |storage| {
        let range = entry(&format!("data/{}", storage.key))
            .ok_or_else(|| PickleError::new(format!("storage {:?} is missing", storage.key)))?;
        storage.start_in(&range)
    })
}
