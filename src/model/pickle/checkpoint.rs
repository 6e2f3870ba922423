//! From the objects of a pickle to tensors by name, and the arguments beside them.

use super::objects::{Heap, Id, Object, Storage};
use super::{
    Checkpoint, MAX_ARGUMENTS, MAX_NAME, MAX_SHARING, MAX_TENSORS, MAX_TEXT, PickleError, StoredTensor,
    refuse,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where a checkpoint keeps its state dict, if it is not one itself.
const STATE_DICTS: [&str; 3] = ["model", "state_dict", "model_state_dict"];

/// Reads the checkpoint at `root`. `place` gives the byte at which a storage begins, and has checked its size.
///
/// Known forms: a bare state dict; `{"args": Namespace, "model": {...}}`; `{"cfg": {"model": Namespace}, "model":
/// {...}}`.
pub(super) fn read(
    heap: &Heap,
    root: Id,
    file_size: usize,
    place: impl Fn(&Storage) -> Result<usize, PickleError>,
) -> Result<Checkpoint, PickleError> {
    let Some(entries) = heap.dict(root) else {
        return refuse("it holds no dict of tensors");
    };
    let is_bare = entries.iter().any(|(_, value)| matches!(heap.get(*value), Object::Tensor(_)));
    let inner = STATE_DICTS.iter().find_map(|key| heap.dict(heap.lookup(entries, key)?));
    let (state, arguments) = match inner {
        Some(state) if !is_bare => (state, arguments(heap, entries)),
        _ => (entries, Map::new()),
    };
    let mut tensors = BTreeMap::new();
    let mut size = 0usize;
    for (name, value) in state {
        let Object::Tensor(tensor) = heap.get(*value) else { continue };
        let Some(name) = heap.text(*name).filter(|name| name.len() <= MAX_NAME) else {
            return refuse(format!("a tensor has no name, or one of more than {MAX_NAME} bytes"));
        };
        let Object::Storage(storage) = heap.get(tensor.storage) else {
            return refuse(format!("tensor {name} has no storage"));
        };
        let bad = |reason: String| PickleError::new(format!("tensor {name}: {reason}"));
        let room = storage.elements.checked_sub(tensor.offset).ok_or_else(|| {
            bad(format!("it begins past the end of its storage of {} elements", storage.elements))
        })?;
        let start = place(storage).map_err(|error| bad(error.0))? + tensor.offset * storage.element.size();
        let stored =
            StoredTensor::new(storage.element, tensor.shape.clone(), tensor.strides.clone(), start, room)
                .map_err(bad)?;
        size = size.saturating_add(stored.size());
        tensors.insert(name, stored);
        if tensors.len() > MAX_TENSORS || size / MAX_SHARING > file_size {
            return refuse(format!(
                "its tensors are more than {MAX_TENSORS}, or more than {MAX_SHARING} times the file"
            ));
        }
    }
    if tensors.is_empty() {
        return refuse("it holds no dict of tensors");
    }
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    Ok(Checkpoint { tensors, arguments })
}

/// The attributes of `args`, or of `cfg`'s `model`; `encoder_X` also under the name X, as fairseq's own loaders do.
fn arguments(heap: &Heap, entries: &[(Id, Id)]) -> Map<String, Value> {
    let from_cfg = || heap.lookup(heap.dict(heap.lookup(entries, "cfg")?)?, "model");
    let namespace = heap.lookup(entries, "args").and_then(|args| attributes(heap, args));
    let attributes = namespace.or_else(|| attributes(heap, from_cfg()?)).unwrap_or_default();
    let mut arguments = Map::new();
    for (name, value) in attributes.iter().take(MAX_ARGUMENTS) {
        let (Some(name), Some(value)) =
            (heap.text(*name).filter(|name| name.len() <= MAX_NAME), scalar(heap, *value))
        else {
            continue;
        };
        if let Some(plain) = name.strip_prefix("encoder_") {
            arguments.insert(plain.to_string(), value.clone());
        }
        arguments.insert(name.to_string(), value);
    }
    arguments
}

fn attributes<'h>(heap: &'h Heap, id: Id) -> Option<&'h [(Id, Id)]> {
    match heap.get(id) {
        Object::Namespace(attributes) => heap.dict((*attributes)?),
        _ => heap.dict(id),
    }
}

fn scalar(heap: &Heap, id: Id) -> Option<Value> {
    match heap.get(id) {
        Object::Bool(flag) => Some(Value::from(*flag)),
        Object::Int(number) => i64::try_from(*number).ok().map(Value::from),
        Object::Float(number) => Some(Value::from(*number)),
        Object::Text(text) if text.len() <= MAX_TEXT => Some(Value::from(*text)),
        _ => None,
    }
}
