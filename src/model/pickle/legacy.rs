//! The form of `torch.save` before 1.6: pickles one after another, then the storages.
//!
//! Magic number, protocol version, system, the object itself, the keys of its storages; then for each key the number
//! of its elements (8 bytes) and the elements.

use super::machine::Machine;
use super::objects::{Heap, Id, Object};
use super::{Checkpoint, PickleError, checkpoint, refuse};
use std::collections::HashMap;
use std::ops::Range;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

pub(super) fn read(file: &[u8]) -> Result<Checkpoint, PickleError> {
    let (magic, after_magic) = small(file, 0, |heap, root| *heap.get(root) == Object::Int(MAGIC))?;
    if !magic {
        return refuse("it is a pickle, but not one of torch.save");
    }
    let (_, after_version) = small(file, after_magic, |_, _| ())?;
    let (little, after_system) = small(file, after_version, |heap, root| {
        let little = heap.dict(root).and_then(|system| heap.lookup(system, "little_endian"));
        little.is_none_or(|little| *heap.get(little) == Object::Bool(true))
    })?;
    if !little {
        return refuse("its numbers are big-endian: save it on a little-endian machine");
    }
    let (machine, root, length) = Machine::run(&file[after_system..])?;
    let keys_at = after_system + length;
    let (keys, keys_root, length) = Machine::run(&file[keys_at..])?;
    let storages =
        storages(file, keys_at + length, &machine.heap, keys.heap.sequence(keys_root), &keys.heap)?;
    checkpoint::read(&machine.heap, root, file.len(), |storage| {
        let range = storages
            .get(storage.key)
            .ok_or_else(|| PickleError::new(format!("storage {:?} is missing", storage.key)))?;
        storage.start_in(range)
    })
}

/// Runs the pickle at `at`; gives what `read` finds in it, and where it ends.
fn small<T>(file: &[u8], at: usize, read: impl Fn(&Heap, Id) -> T) -> Result<(T, usize), PickleError> {
    let (machine, root, length) = Machine::run(&file[at..])?;
    Ok((read(&machine.heap, root), at + length))
}

/// The bytes of each storage, by its key.
fn storages<'a>(
    file: &[u8],
    mut at: usize,
    objects: &Heap<'a>,
    keys: Option<&[Id]>,
    key_heap: &Heap<'a>,
) -> Result<HashMap<&'a str, Range<usize>>, PickleError> {
    let sizes: HashMap<&str, usize> =
        objects.storages().map(|storage| (storage.key, storage.element.size())).collect();
    let mut found = HashMap::new();
    for key in keys.unwrap_or_default() {
        let Some((key, size)) = key_heap.text(*key).and_then(|key| Some((key, *sizes.get(key)?))) else {
            return refuse("it lists a storage that none of its tensors has");
        };
        let count =
            file.get(at..).and_then(|rest| rest.first_chunk()).map(|count| u64::from_le_bytes(*count));
        let start = at + size_of::<u64>();
        let room = file.len().saturating_sub(start) / size;
        let elements = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= room);
        let Some(elements) = elements else {
            return refuse(format!("it is cut off: storage {key:?} reaches past its end"));
        };
        at = start + elements * size;
        found.insert(key, start..at);
    }
    Ok(found)
}
