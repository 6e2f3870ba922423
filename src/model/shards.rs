//! Models in several files: the index of Hugging Face's sharded form.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How the names of all indexes end: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.
pub(super) const INDEX: &str = ".index.json";

#[derive(Deserialize)]
struct Index {
    /// File by tensor
    weight_map: BTreeMap<String, String>,
}

pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(INDEX))
}

/// The files that an index beside them names, in the order of their names.
pub(super) fn read(path: &Path, shown: &str) -> Result<Vec<PathBuf>> {
    let text = std::fs::read(path)
        .map_err(|error| Error::model(format!("model {shown} cannot be read")).caused_by(error))?;
    Ok(names(&text, shown)?.iter().map(|name| path.with_file_name(name)).collect())
}

/// The names in an index; each is that of a file in the same folder.
pub(super) fn names(index: &[u8], shown: &str) -> Result<BTreeSet<String>> {
    let index: Index = serde_json::from_slice(index).map_err(|error| {
        Error::model(format!("model {shown}: its index has no weight_map")).caused_by(error)
    })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| name.is_empty() || name.starts_with('.') || name.contains(['/', '\\'])) {
        Some(name) => Err(Error::model(format!(
            "model {shown}: its index names {name:?}; allowed are files in the same folder"
        ))),
        None if names.is_empty() => Err(Error::model(format!("model {shown}: its index names no files"))),
        None => Ok(names),
    }
}
