//! The models that have a name: in the program, in the hub's cache, on the hub.

use super::{Model, Placement, Weights, card, family, files, source};
use crate::error::Result;
use crate::hub::{Hub, Repository};
use crate::storage::Storage;
use serde::{Deserialize, Serialize};

/// A model held in the program.
#[derive(Clone, Copy)]
struct Embedded {
    name: &'static str,
    bytes: &'static [u8],
}

const EMBEDDED: [Embedded; 3] = [
    Embedded { name: "rna-nano", bytes: include_bytes!("../../models/rna-nano/rna-nano.safetensors") },
    Embedded {
        name: "protein-nano",
        bytes: include_bytes!("../../models/protein-nano/protein-nano.safetensors"),
    },
    Embedded {
        name: "rna-hairpins",
        bytes: include_bytes!("../../models/rna-hairpins/rna-hairpins.safetensors"),
    },
];

/// A published model, as its authors tell of it.
struct Known {
    id: &'static str,
    family: &'static str,
    parameters: u64,
    max_tokens: u32,
    description: &'static str,
}

const fn known(
    id: &'static str,
    family: &'static str,
    millions: u64,
    max_tokens: u32,
    description: &'static str,
) -> Known {
    Known { id, family, parameters: millions * 1_000_000, max_tokens, description }
}

const KNOWN: [Known; 12] = [
    known("multimolecule/rnafm", "rna-fm", 100, 1024, "RNA-FM, non-coding RNA (Chen et al. 2022)"),
    known("facebook/esm2_t6_8M_UR50D", "esm-2", 8, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm2_t12_35M_UR50D", "esm-2", 35, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm2_t30_150M_UR50D", "esm-2", 150, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm2_t33_650M_UR50D", "esm-2", 650, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm2_t36_3B_UR50D", "esm-2", 3000, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm2_t48_15B_UR50D", "esm-2", 15_000, 1024, "ESM-2, proteins (Lin et al. 2023)"),
    known("facebook/esm1b_t33_650M_UR50S", "esm-2", 650, 1024, "ESM-1b, proteins (Rives et al. 2021)"),
    known("EvolutionaryScale/esmc-300m-2024-12", "esmc", 300, 2048, "ESM C, proteins (ESM Team 2024)"),
    known("EvolutionaryScale/esmc-600m-2024-12", "esmc", 600, 2048, "ESM C, proteins (ESM Team 2024)"),
    known("Rostlab/prot_bert", "bert", 420, 40_000, "ProtBert, proteins of UniRef100 (Elnaggar et al. 2021)"),
    known("Rostlab/prot_bert_bfd", "bert", 420, 40_000, "ProtBert, proteins of BFD (Elnaggar et al. 2021)"),
];

/// Where a model's weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelStatus {
    /// In the program itself
    Embedded,
    /// From the Hugging Face Hub, in its cache on this machine
    Cached,
    /// On the Hugging Face Hub: fetched when it is first used
    Known,
    /// In a file that was named
    File,
}

impl ModelStatus {
    pub fn name(self) -> &'static str {
        match self {
            ModelStatus::Embedded => "embedded",
            ModelStatus::Cached => "cached",
            ModelStatus::Known => "known",
            ModelStatus::File => "file",
        }
    }
}

/// What a model is, as `models show` and `GET /v1/models/{name}` tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ModelInfo {
    /// What requests name it by
    pub name: String,
    /// Architecture, for example `rna-fm`
    pub family: String,
    /// Where its weights are
    pub status: ModelStatus,
    /// What it is, in a few words
    pub description: String,
    /// As the file or its model card states it
    pub licence: String,
    /// Number of weights
    pub parameters: u64,
    /// Layers of the encoder
    pub layers: u32,
    /// Dimension of the hidden states
    pub hidden_size: u32,
    /// Attention heads of a layer
    pub attention_heads: u32,
    /// Tokens of the alphabet, the special ones included
    pub vocabulary: u32,
    /// Longest input, in tokens with the special ones
    pub max_tokens: u32,
    /// Digest of the weights: `xxh3:` and 32 hexadecimal digits
    pub digest: String,
}

/// One line of `models list` and `GET /v1/models`: what is known of a model without opening it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ModelSummary {
    /// What requests name it by
    pub name: String,
    /// Where its weights are
    pub status: ModelStatus,
    /// Architecture, for example `rna-fm`; absent for a model in the cache that has no name here
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Number of weights; for models of the hub the rounded number of their authors
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Longest input, in tokens with the special ones
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// As the file or its model card states it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// What it is, in a few words
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl From<&ModelInfo> for ModelSummary {
    fn from(info: &ModelInfo) -> Self {
        ModelSummary {
            name: info.name.clone(),
            status: info.status,
            family: Some(info.family.clone()),
            parameters: Some(info.parameters),
            max_tokens: Some(info.max_tokens),
            licence: Some(info.licence.clone()),
            description: Some(info.description.clone()),
        }
    }
}

impl Known {
    fn summary(&self) -> ModelSummary {
        ModelSummary {
            name: self.id.to_string(),
            status: ModelStatus::Known,
            family: Some(self.family.to_string()),
            parameters: Some(self.parameters),
            max_tokens: Some(self.max_tokens),
            licence: None,
            description: Some(self.description.to_string()),
        }
    }
}

/// The models held in the program. Their weights are looked at, but not made ready to score.
pub fn bundled() -> Result<Vec<ModelInfo>> {
    let describe = |embedded: &Embedded| {
        let weights = Weights::held(embedded.name, embedded.bytes)?;
        family::describe(embedded.name, ModelStatus::Embedded, weights)
    };
    EMBEDDED.iter().map(describe).collect()
}

/// The models of the hub: those in its cache on this machine, then well-known ones that are not.
pub fn on_hub() -> Vec<ModelSummary> {
    // without a place for a cache nothing is in it
    let cache = Hub::from_env().map(|hub| hub.cached()).unwrap_or_default();
    let mut found: Vec<ModelSummary> = cache.iter().filter_map(cached).collect();
    for known in &KNOWN {
        if !found.iter().any(|cached| cached.name == known.id) {
            found.push(known.summary());
        }
    }
    found
}

/// A model in the cache, if its weights are there.
fn cached(repository: &Repository) -> Option<ModelSummary> {
    let names: Vec<&str> = repository.files().iter().map(String::as_str).collect();
    let name = repository.id().repository();
    files::choose(&names, &name).ok()?;
    let known = KNOWN.iter().find(|known| known.id == name).map(Known::summary);
    let unknown = ModelSummary {
        name,
        status: ModelStatus::Cached,
        family: None,
        parameters: None,
        max_tokens: None,
        licence: None,
        description: None,
    };
    let card = repository.fetch(files::CARD).ok();
    let licence = card.and_then(|path| card::licence(&std::fs::read_to_string(path).ok()?));
    Some(ModelSummary { status: ModelStatus::Cached, licence, ..known.unwrap_or(unknown) })
}

/// What the model of that name, folder or file is; it is loaded whole, and so known to be usable.
pub fn describe(model: &str, storage: &Storage) -> Result<ModelInfo> {
    Ok(load(model, storage, &Placement::Cpu)?.info)
}

/// Loads a model by what [`source::open`] takes.
pub fn load(model: &str, storage: &Storage, placement: &Placement) -> Result<Model> {
    let (weights, status) = source::open(model, storage)?;
    family::load(model, status, weights, placement)
}

/// The weights of the model in the program that has this name.
pub(super) fn embedded(name: &str) -> Option<Result<Weights>> {
    let embedded = EMBEDDED.iter().find(|embedded| embedded.name == name)?;
    Some(Weights::held(embedded.name, embedded.bytes))
}

/// The names of the models in the program, for messages.
pub(super) fn names() -> String {
    EMBEDDED.map(|embedded| embedded.name).join(", ")
}
