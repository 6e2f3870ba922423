//! The models that have a name.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

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

pub fn list() -> Vec<ModelInfo> {
    Vec::new()
}

pub fn show(name: &str) -> Result<ModelInfo> {
    list().into_iter().find(|info| info.name == name).ok_or_else(|| {
        let known: Vec<_> = list().into_iter().map(|info| info.name).collect();
        Error::model(format!("model {name:?}: known are {}", known.join(", ")))
    })
}
