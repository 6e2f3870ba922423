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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weights;
    use safetensors::{Dtype, serialize, tensor::TensorView};

    #[test]
    fn an_index_names_files_beside_it() {
        let index = |map: &str| names(format!(r#"{{"weight_map": {map}}}"#).as_bytes(), "m");
        let found =
            index(r#"{"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}"#).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["m-1.safetensors", "m-2.safetensors"]);
        for map in [r#"{"a": "../m"}"#, r#"{"a": "/etc/m"}"#, r#"{"a": ".m"}"#, r#"{"a": ""}"#, "{}", "[]"] {
            assert!(index(map).is_err(), "{map}");
        }
    }

    #[test]
    fn tensors_are_found_in_the_shard_that_has_them() {
        let folder = tempfile::tempdir().unwrap();
        for (file, tensor, value) in [("m-1.safetensors", "a", 1f32), ("m-2.safetensors", "b", 2f32)] {
            let bytes = value.to_le_bytes();
            let view = TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
            std::fs::write(folder.path().join(file), serialize([(tensor, view)], None).unwrap()).unwrap();
        }
        let index = r#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#;
        let path = folder.path().join("model.safetensors.index.json");
        std::fs::write(&path, index).unwrap();
        let mut weights = Weights::open(&path, "m").unwrap();
        assert_eq!(
            (weights.take("a", &[1]).unwrap(), weights.take("b", &[1]).unwrap()),
            (vec![1.0], vec![2.0])
        );

        std::fs::remove_file(folder.path().join("m-2.safetensors")).unwrap();
        let error = Weights::open(&path, "m").err().unwrap();
        assert!(error.message.contains("m, m-2.safetensors"), "{error}");
    }
}
