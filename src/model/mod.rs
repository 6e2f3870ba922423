//! Reference models: a registry of names, and one file for each family.

mod registry;
pub use registry::{ModelInfo, ModelStatus, list, show};
