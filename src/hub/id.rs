//! The name of a model on the hub: `owner/name`, or `owner/name@revision`.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

const DEFAULT_REVISION: &str = "main";
/// Of owner and name together, as the hub has it.
const LONGEST: usize = 96;
/// Ends of names of files: `models/mine.pth` is a file that is not there, and no model of an owner `models`.
const WEIGHTS: [&str; 4] = [".safetensors", ".pth", ".pt", ".bin"];

/// A model of the hub, and which version of it: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    owner: String,
    name: String,
    revision: Option<String>,
}

impl ModelId {
    /// `owner/name`
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// What huggingface_hub calls its folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }

    pub(super) fn from_folder(folder: &str) -> Option<ModelId> {
        let (owner, name) = folder.strip_prefix("models--")?.split_once("--")?;
        format!("{owner}/{name}").parse().ok()
    }
}

impl FromStr for ModelId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::usage(format!(
                "model {text:?}: a model of the hub is named owner/name or owner/name@revision"
            ))
        };
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = repository.split_once('/').ok_or_else(refuse)?;
        let lower = name.to_ascii_lowercase();
        let is_file = WEIGHTS.iter().any(|end| lower.ends_with(end));
        let is_revision =
            |text: &str| is_plain(text, "._-/") && text.split('/').all(|part| is_plain(part, "._-"));
        if is_file
            || repository.len() > LONGEST
            || ![owner, name].iter().all(|part| is_plain(part, "._-") && !part.contains("--"))
            || !revision.is_none_or(is_revision)
        {
            return Err(refuse());
        }
        Ok(ModelId { owner: owner.into(), name: name.into(), revision: revision.map(str::to_string) })
    }
}

/// Letters, digits and these marks, beginning with a letter or digit, without dots in a row: safe as a path.
fn is_plain(text: &str, marks: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_hub_are_told_from_names_and_paths() {
        for text in [
            "multimolecule/rnafm",
            "facebook/esm2_t12_35M_UR50D",
            "EvolutionaryScale/esmc-300m-2024-12",
            "Rostlab/prot_bert@refs/pr/1",
            "a/b.c@v1.0",
        ] {
            let id: ModelId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(ModelId::from_folder(&id.folder()).unwrap().repository(), id.repository());
        }
        for text in [
            "rna-nano",
            "/a/b",
            "./a",
            "../a",
            "a/../b",
            "a/b/c",
            "a/",
            "a/.b",
            "a/b@",
            "a/b@../c",
            "a/b@x//y",
            "models/mine.pth",
            "out/model.SAFETENSORS",
            "s3://b/m",
            "a/b c",
            "a--b/c",
            "a/b@/c",
        ] {
            assert!(text.parse::<ModelId>().is_err(), "{text}");
        }
    }
}
