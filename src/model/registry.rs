//! The models that have a name, and loading by name or by file.

use super::{Model, Placement, Weights, family, files};
use crate::error::{Error, Result};
use crate::storage::{Location, Storage, io_error};
use serde::{Deserialize, Serialize};
use std::io::copy;
use std::path::{Path, PathBuf};

/// A model held in the program.
#[derive(Clone, Copy)]
struct Embedded {
    name: &'static str,
    bytes: &'static [u8],
}

const EMBEDDED: [Embedded; 2] = [
    Embedded { name: "rna-nano", bytes: include_bytes!("../../models/rna-nano/rna-nano.safetensors") },
    Embedded {
        name: "protein-nano",
        bytes: include_bytes!("../../models/protein-nano/protein-nano.safetensors"),
    },
];

/// Where a model's weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelStatus {
    /// In the program itself
    Embedded,
    /// In a file that was named
    File,
}

/// What a model is, as `models list`, `models show` and `GET /v1/models` tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ModelInfo {
    pub name: String,
    /// Architecture, for example `rna-fm`
    pub family: String,
    pub status: ModelStatus,
    pub description: String,
    pub licence: String,
    /// Number of weights
    pub parameters: u64,
    pub layers: u32,
    pub hidden_size: u32,
    pub attention_heads: u32,
    pub vocabulary: u32,
    /// Longest input, in tokens with the special ones
    pub max_tokens: u32,
    /// Digest of the weights: `xxh3:` and 32 hexadecimal digits
    pub digest: String,
}

/// The models held in the program.
pub fn list() -> Result<Vec<ModelInfo>> {
    EMBEDDED.iter().map(|model| Ok(model.load()?.info)).collect()
}

/// What the model of that registry name is.
pub fn show(name: &str) -> Result<ModelInfo> {
    let embedded = EMBEDDED.iter().find(|embedded| embedded.name == name);
    Ok(embedded.ok_or_else(|| Error::model(format!("model {name:?}: known are {}", names())))?.load()?.info)
}

/// What the model of that name, directory or file is.
pub fn describe(model: &str, storage: &Storage) -> Result<ModelInfo> {
    Ok(load(model, storage, &Placement::Cpu)?.info)
}

/// Loads a model by its registry name, or from a directory or file, local or in object storage.
pub fn load(model: &str, storage: &Storage, placement: &Placement) -> Result<Model> {
    let (weights, status) = open(model, storage)?;
    family::load(model, status, weights, placement)
}

/// Opens a model's weights, named as for [`load`].
pub fn open(model: &str, storage: &Storage) -> Result<(Weights, ModelStatus)> {
    if let Some(embedded) = EMBEDDED.iter().find(|embedded| embedded.name == model) {
        return Ok((embedded.weights()?, ModelStatus::Embedded));
    }
    let location: Location = model.parse()?;
    let weights = match storage.local_path(&location) {
        Some(path) => Weights::open(&weights_file(&path, model)?, model)?,
        None => {
            // The weights are read at random: a remote file is fetched whole first.
            let folder = tempfile::tempdir().map_err(|error| {
                Error::storage(format!("no temporary folder for model {model}")).caused_by(error)
            })?;
            let path = folder.path().join(location.file_name());
            let fetch = || {
                let mut source = storage.open(&storage.stat(&location)?)?;
                let mut target = std::fs::File::create(&path).map_err(|error| io_error(&location, error))?;
                copy(&mut source, &mut target).map_err(|error| io_error(&location, error))?;
                Ok(())
            };
            fetch().map_err(|error: Error| {
                Error::model(format!("model {model} cannot be fetched")).caused_by(error)
            })?;
            Weights::open(&path, model)?
        }
    };
    Ok((weights, ModelStatus::File))
}

impl Embedded {
    fn weights(&self) -> Result<Weights> {
        Weights::held(self.name, self.bytes)
    }

    fn load(&self) -> Result<Model> {
        family::load(self.name, ModelStatus::Embedded, self.weights()?, &Placement::Cpu)
    }
}

fn names() -> String {
    EMBEDDED.map(|embedded| embedded.name).join(", ")
}

/// The file itself, or the weights inside a directory.
fn weights_file(path: &Path, model: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return Err(Error::model(format!(
            "model {model:?} is neither a known name ({}), nor a file, nor a directory",
            names()
        )));
    };
    let found: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    found.sort_unstable();
    Ok(path.join(files::choose(&found, model)?))
}
