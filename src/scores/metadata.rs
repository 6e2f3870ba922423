//! What a scores file says of itself, and whether two files may be read as one scoring.

use crate::error::{Error, Result};
use crate::influence::{CurvatureForm, Damping, Estimator, Objective};
use crate::sequence::{InputOptions, Shard, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the columns and of the metadata; readers refuse any other.
pub const SCHEMA_VERSION: u32 = 1;

/// How the records were scored. Rows of files that differ in any of it, the shard aside, never mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoresMetadata {
    /// [`SCHEMA_VERSION`] of the program that wrote the file
    pub schema_version: u32,
    /// Version of the program that wrote the file
    pub tool_version: String,
    pub model: ModelRef,
    /// What computed the encoder: `cpu-f32`, `cpu-bf16` (AMX), `cpu-bf16-avx512`, `cuda-f32` or `cuda-bf16`
    pub engine: String,
    pub objective: Objective,
    pub mask_passes: u8,
    pub estimator: Estimator,
    pub damping: Damping,
    pub seed: u64,
    pub curvature: CurvatureRef,
    /// How the sources were read
    pub input: InputOptions,
    /// What was read, in the order that `source` of a row counts in
    pub sources: Vec<Source>,
    /// Which part of the records this is; absent in whole scores
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// The reference model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    pub name: String,
    pub digest: String,
}

/// The curvature that the scores were computed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvatureRef {
    pub form: CurvatureForm,
    pub digest: String,
    /// Records that it was estimated on
    pub records: u64,
    /// Mean of its entries. In single precision, which JSON keeps exactly through any number of merges.
    pub mean: f32,
}

/// What was read, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counts {
    /// Records read
    pub records: u64,
    /// Residues of the records read
    pub residues: u64,
    /// Records scored
    pub scored: u64,
    /// Records scored on their first residues only
    pub truncated: u64,
    /// Records left out, by reason: `illegal`, `empty`, `long`
    pub skipped: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.residues += other.residues;
        self.scored += other.scored;
        self.truncated += other.truncated;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
    }
}

/// A field in which two files disagree, with both values.
pub(super) struct Disagreement {
    pub field: String,
    pub left: String,
    pub right: String,
}

impl ScoresMetadata {
    /// Reads what a scores file says of itself; `name` is the file's.
    pub(super) fn from_json(name: &str, json: &str) -> Result<ScoresMetadata> {
        let unreadable =
            |e| Error::bad_input(format!("{name}: the metadata is not that of scores")).caused_by(e);
        let value: Value = serde_json::from_str(json).map_err(unreadable)?;
        match value["schema_version"].as_u64() {
            Some(version) if version != u64::from(SCHEMA_VERSION) => Err(Error::bad_input(format!(
                "{name}: schema version {version}; this program reads version {SCHEMA_VERSION}"
            ))),
            _ => serde_json::from_value(value).map_err(unreadable),
        }
    }

    /// The first field in which the two differ; the shard aside, and which copies of local files were read.
    pub(super) fn disagreement(&self, other: &ScoresMetadata) -> Option<Disagreement> {
        let value = |metadata: &ScoresMetadata| {
            serde_json::to_value(ScoresMetadata { shard: None, ..metadata.of_any_copy() }).unwrap_or_default()
        };
        first_difference("", &value(self), &value(other))
    }

    /// The same whichever copies of local files are read.
    pub fn of_any_copy(&self) -> ScoresMetadata {
        let sources = self.sources.iter().map(Source::of_any_copy).collect();
        ScoresMetadata { sources, ..self.clone() }
    }
}

fn first_difference(field: &str, left: &Value, right: &Value) -> Option<Disagreement> {
    let inner = |key: &str| if field.is_empty() { key.to_string() } else { format!("{field}.{key}") };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let side = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                first_difference(&inner(key), &side(a), &side(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            (0..a.len()).find_map(|i| first_difference(&format!("{field}[{i}]"), &a[i], &b[i]))
        }
        (Value::Array(a), Value::Array(b)) => {
            let (left, right) = (format!("{} entries", a.len()), format!("{} entries", b.len()));
            Some(Disagreement { field: field.to_string(), left, right })
        }
        _ if left == right => None,
        _ => {
            Some(Disagreement { field: field.to_string(), left: left.to_string(), right: right.to_string() })
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sequence::{Compression, Format};

    /// Metadata for tests.
    pub(in crate::scores) fn metadata() -> ScoresMetadata {
        let source = |uri: &str| Source {
            uri: uri.parse().unwrap(),
            size: 1234,
            etag: Some("e1".to_string()),
            fingerprint: None,
            format: Format::Fasta,
            compression: Compression::Gzip,
        };
        ScoresMetadata {
            schema_version: SCHEMA_VERSION,
            tool_version: "0.1.0".to_string(),
            model: ModelRef { name: "rna-nano".to_string(), digest: "sha256:aa".to_string() },
            engine: "cpu-f32".to_string(),
            objective: Objective::MaskedLm,
            mask_passes: 7,
            estimator: Estimator::Debiased,
            damping: Damping::Relative(0.1),
            seed: u64::MAX,
            curvature: CurvatureRef {
                form: CurvatureForm::Diagonal,
                digest: "sha256:bb".to_string(),
                records: 5000,
                mean: 1.234_567_9e-7,
            },
            input: InputOptions::default(),
            sources: vec![source("a.fa.gz"), source("b.fa.gz")],
            shard: None,
        }
    }

    #[test]
    fn metadata_survives_json() {
        let whole = ScoresMetadata { shard: Some("2/3".parse().unwrap()), ..metadata() };
        let json = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<ScoresMetadata>(&json).unwrap(), whole);
    }

    #[test]
    fn a_disagreement_names_the_field_and_both_values() {
        type Change = fn(&mut ScoresMetadata);
        let cases: [(Change, &str, &str); 5] = [
            (|m| m.seed = 1, "seed", "1"),
            (|m| m.model.digest = "x".to_string(), "model.digest", "\"x\""),
            (|m| m.sources[1].etag = None, "sources[1].etag", "null"),
            (|m| m.sources.truncate(1), "sources", "1 entries"),
            (|m| m.estimator = Estimator::Plain, "estimator", "\"plain\""),
        ];
        for (change, field, value) in cases {
            let mut other = metadata();
            change(&mut other);
            let found = metadata().disagreement(&other).unwrap();
            assert_eq!((found.field.as_str(), found.right.as_str()), (field, value));
        }
    }

    #[test]
    fn shards_of_one_scoring_agree() {
        let part = ScoresMetadata { shard: Some("1/2".parse().unwrap()), ..metadata() };
        assert!(part.disagreement(&metadata()).is_none());
    }

    #[test]
    fn copies_of_a_local_file_are_one_source() {
        let read = |etag: &str, fingerprint: &str| {
            let mut metadata = metadata();
            metadata.sources[0].etag = Some(etag.to_string());
            metadata.sources[0].fingerprint = Some(fingerprint.to_string());
            metadata
        };
        assert!(read("inode 1", "xxh3:aa").disagreement(&read("inode 2", "xxh3:aa")).is_none());
        let found = read("inode 1", "xxh3:aa").disagreement(&read("inode 1", "xxh3:bb")).unwrap();
        assert_eq!(found.field, "sources[0].fingerprint");
    }

    #[test]
    fn counts_add_up_by_reason() {
        let part = |reason: &str, n| Counts {
            records: n,
            skipped: BTreeMap::from([(reason.to_string(), n)]),
            ..Counts::default()
        };
        let mut sum = part("empty", 1);
        sum.add(&part("illegal", 2));
        sum.add(&part("empty", 3));
        assert_eq!((sum.records, sum.skipped["empty"], sum.skipped["illegal"]), (6, 4, 2));
    }
}
