//! The diagonal Fisher: an exact sum and a count, so that parts add up to the whole in any order.

use super::{CurvatureForm, Damping, Objective, Sample};
use crate::error::{Error, Result};
use crate::sequence::{InputOptions, Shard, Source};
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use xxhash_rust::xxh3::Xxh3;

/// Sums are fixed-point numbers of 128 bits with this many bits after the point: a squared gradient entry is exact to
/// 1e-24, and a thousand million records of entries up to 1e5 fit.
const FRACTION_BITS: i32 = 80;
/// Squared entries above this are refused.
const LARGEST_SQUARE: u64 = 1 << 16;
/// So many of the largest squares fit into a sum.
const MOST_RECORDS: u64 = (1 << 31) - 1;
const SCHEMA_VERSION: u32 = 1;

/// A model by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReference {
    pub name: String,
    pub digest: String,
}

/// What a curvature was estimated with; parts that differ in it are not added up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvatureMetadata {
    pub schema_version: u32,
    pub tool_version: String,
    pub model: ModelReference,
    /// What computed the encoder: `cpu-f32`, `cpu-bf16` (AMX), `cpu-bf16-avx512`, `cuda-f32` or `cuda-bf16`
    pub engine: String,
    pub objective: Objective,
    pub mask_passes: u8,
    pub seed: u64,
    pub form: CurvatureForm,
    pub sample: Sample,
    /// How the sources were read.
    pub input: InputOptions,
    pub sources: Vec<Source>,
    /// Which part this is; `None` for the whole.
    pub shard: Option<Shard>,
}

impl CurvatureMetadata {
    pub const SCHEMA_VERSION: u32 = SCHEMA_VERSION;

    /// Whether both are of one curvature; their shards may differ, and which copies of local files were read.
    pub fn adds_up_with(&self, other: &CurvatureMetadata) -> bool {
        let whole =
            |metadata: &CurvatureMetadata| CurvatureMetadata { shard: None, ..metadata.of_any_copy() };
        whole(self) == whole(other)
    }

    /// The same whichever copies of local files are read.
    pub fn of_any_copy(&self) -> CurvatureMetadata {
        let sources = self.sources.iter().map(Source::of_any_copy).collect();
        CurvatureMetadata { sources, ..self.clone() }
    }
}

impl AsRef<CurvatureMetadata> for CurvatureMetadata {
    fn as_ref(&self) -> &CurvatureMetadata {
        self
    }
}

/// `Σ G∘G` over records, exact: the same bits in any order of addition and however it is divided into parts.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvatureSum {
    pub(super) hidden_size: usize,
    pub(super) sum: Vec<i128>,
    /// Records added.
    pub count: u64,
}

impl CurvatureSum {
    pub fn new(hidden_size: usize) -> Self {
        CurvatureSum { hidden_size, sum: vec![0; hidden_size * hidden_size], count: 0 }
    }

    /// Adds one record's gradient `[d, d]`.
    pub fn add(&mut self, gradient: &[f32]) -> Result<()> {
        let one = 2f64.powi(FRACTION_BITS);
        for (sum, entry) in self.sum.iter_mut().zip(gradient) {
            // The square of an f32 is exact in f64, and the scale a power of two: only bits below 2^-80 are cut.
            let square = *entry as f64 * *entry as f64;
            if square.is_nan() || square > LARGEST_SQUARE as f64 {
                return Err(Error::model(format!(
                    "a gradient entry is {entry}; the model's numbers have run away (allowed are entries up to 256)"
                )));
            }
            *sum += (square * one) as i128;
        }
        self.count += 1;
        Ok(())
    }

    /// Adds another part.
    ///
    /// # Errors
    /// `BadInput` where the two hold more records than a sum has room for.
    pub fn merge(&mut self, other: &CurvatureSum) -> Result<()> {
        let count = self.count.saturating_add(other.count);
        if count > MOST_RECORDS {
            return Err(Error::bad_input(format!(
                "{count} records in one curvature; allowed are {MOST_RECORDS}"
            )));
        }
        for (sum, part) in self.sum.iter_mut().zip(&other.sum) {
            *sum += part;
        }
        self.count = count;
        Ok(())
    }

    /// Leaves the sum of no record.
    pub fn clear(&mut self) {
        self.sum.fill(0);
        self.count = 0;
    }

    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// F, the mean of `G∘G`, `[d, d]`.
    pub fn diagonal(&self) -> Vec<f64> {
        let scale = 2f64.powi(-FRACTION_BITS) / self.count.max(1) as f64;
        self.sum.iter().map(|sum| *sum as f64 * scale).collect()
    }

    /// The mean of F over its entries.
    pub fn mean(&self) -> f64 {
        self.diagonal().iter().sum::<f64>() / self.sum.len() as f64
    }

    /// `xxh3:` and 32 hexadecimal digits over the sums and the count: where the records came from does not change it.
    pub fn digest(&self) -> String {
        let mut hash = Xxh3::new();
        hash.update(&self.count.to_le_bytes());
        for sum in &self.sum {
            hash.update(&sum.to_le_bytes());
        }
        format!("xxh3:{:032x}", hash.digest128())
    }

    /// A safetensors file: `sum_high` (I64) and `sum_low` (U64), `[d, d]`, of the fixed-point sums, and the metadata: those of a
    /// curvature, or others that hold them.
    ///
    /// `F = (sum_high * 2^64 + sum_low) / 2^80 / count`.
    pub fn to_bytes(&self, metadata: &impl Serialize) -> Result<Vec<u8>> {
        let low: Vec<u8> = self.sum.iter().flat_map(|sum| (*sum as u64).to_le_bytes()).collect();
        let high: Vec<u8> = self.sum.iter().flat_map(|sum| ((*sum >> 64) as i64).to_le_bytes()).collect();
        let shape = vec![self.hidden_size, self.hidden_size];
        let failed = |error| Error::internal("the curvature cannot be written").caused_by(error);
        let tensors = [
            ("sum_high", TensorView::new(Dtype::I64, shape.clone(), &high).map_err(failed)?),
            ("sum_low", TensorView::new(Dtype::U64, shape, &low).map_err(failed)?),
        ];
        let json = serde_json::to_string(&File { count: self.count, fraction_bits: FRACTION_BITS, metadata })
            .map_err(|error| {
                Error::internal("the curvature's metadata cannot be written").caused_by(error)
            })?;
        safetensors::serialize(tensors, Some(HashMap::from([(METADATA_KEY.to_string(), json)])))
            .map_err(failed)
    }

    /// Reads what [`Self::to_bytes`] wrote; `file` is its name in errors.
    pub fn from_bytes<M: DeserializeOwned + AsRef<CurvatureMetadata>>(
        bytes: &[u8],
        file: &str,
    ) -> Result<(CurvatureSum, M)> {
        let bad = |what: String| Error::bad_input(format!("{file} is not a bioprune curvature file: {what}"));
        let (_, header) =
            safetensors::SafeTensors::read_metadata(bytes).map_err(|error| bad(error.to_string()))?;
        let tensors = safetensors::SafeTensors::deserialize(bytes).map_err(|error| bad(error.to_string()))?;
        let json = header.metadata().as_ref().and_then(|map| map.get(METADATA_KEY));
        let json = json.ok_or_else(|| bad(format!("it has no metadata under `{METADATA_KEY}`")))?;
        let File { count, fraction_bits, metadata } =
            serde_json::from_str::<File<M>>(json).map_err(|error| bad(error.to_string()))?;
        let schema_version = metadata.as_ref().schema_version;
        if schema_version != SCHEMA_VERSION || fraction_bits != FRACTION_BITS {
            return Err(bad(format!(
                "schema version {schema_version} with {fraction_bits} fraction bits; this program reads version {SCHEMA_VERSION} with {FRACTION_BITS}"
            )));
        }
        let words = |name: &str, dtype: Dtype| {
            let view = tensors.tensor(name).map_err(|error| bad(error.to_string()))?;
            match view.shape() {
                [rows, columns] if rows == columns && view.dtype() == dtype => {
                    let words = view.data().as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
                    Ok((*rows, words.collect::<Vec<u64>>()))
                }
                shape => Err(bad(format!(
                    "tensor {name} is {:?} {shape:?}, expected is {dtype:?} [d, d]",
                    view.dtype()
                ))),
            }
        };
        let (hidden_size, high) = words("sum_high", Dtype::I64)?;
        let (other, low) = words("sum_low", Dtype::U64)?;
        if hidden_size != other {
            return Err(bad(format!("sum_high is [{hidden_size}, _] and sum_low [{other}, _]")));
        }
        let sum: Vec<i128> =
            high.iter().zip(&low).map(|(high, low)| ((*high as i64 as i128) << 64) | *low as i128).collect();
        if hidden_size == 0 || count > MOST_RECORDS {
            return Err(bad(format!(
                "{count} records of [{hidden_size}, {hidden_size}]; allowed are at most {MOST_RECORDS}, of at least one entry"
            )));
        }
        let largest = (i128::from(count) * i128::from(LARGEST_SQUARE)) << FRACTION_BITS;
        if sum.iter().any(|sum| !(0..=largest).contains(sum)) {
            return Err(bad(format!("a sum of {count} squares is negative, or larger than they can be")));
        }
        Ok((CurvatureSum { hidden_size, sum, count }, metadata))
    }
}

const METADATA_KEY: &str = "bioprune";

#[derive(Serialize, Deserialize)]
struct File<M> {
    /// Records that the sums hold.
    count: u64,
    fraction_bits: i32,
    #[serde(flatten)]
    metadata: M,
}

/// The curvature as scores use it: `1/(F + damping)`.
pub struct Curvature {
    pub hidden_size: usize,
    /// `1/(F + damping)`, `[d, d]`.
    pub inverse: Vec<f32>,
}

impl Curvature {
    /// Adds the damping; relative damping multiplies the mean of F.
    pub fn new(sum: &CurvatureSum, form: CurvatureForm, damping: Damping) -> Result<Self> {
        let diagonal = match form {
            CurvatureForm::Diagonal if sum.count == 0 => {
                return Err(Error::bad_input(
                    "the curvature is estimated on no record at all: raise --sample, or give records that can be scored",
                ));
            }
            CurvatureForm::Diagonal => sum.diagonal(),
            CurvatureForm::Identity => vec![1.0; sum.sum.len()],
        };
        let damping = match damping {
            Damping::Absolute(value) => value,
            Damping::Relative(factor) => factor * diagonal.iter().sum::<f64>() / diagonal.len() as f64,
        };
        if damping <= 0.0 {
            return Err(Error::bad_input(
                "the curvature is zero everywhere, so a damping relative to its mean is zero too: give an absolute one",
            ));
        }
        let inverse = diagonal.iter().map(|f| (1.0 / (f + damping)) as f32).collect();
        Ok(Curvature { hidden_size: sum.hidden_size, inverse })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::influence) fn gradient(seed: usize) -> Vec<f32> {
        (0..9).map(|i| ((i * 31 + seed * 17) % 23) as f32 * 1.37e-4 - 1e-3).collect()
    }

    pub(crate) fn metadata() -> CurvatureMetadata {
        CurvatureMetadata {
            schema_version: SCHEMA_VERSION,
            tool_version: "0".into(),
            model: ModelReference { name: "m".into(), digest: "d".into() },
            engine: "cpu-f32".into(),
            objective: Objective::MaskedLm,
            mask_passes: 7,
            seed: 0,
            form: CurvatureForm::Diagonal,
            sample: Sample::All,
            input: InputOptions::default(),
            sources: Vec::new(),
            shard: None,
        }
    }

    #[test]
    fn parts_in_any_order_add_up_to_the_same_bits() {
        let mut whole = CurvatureSum::new(3);
        (0..20).for_each(|i| whole.add(&gradient(i)).unwrap());
        let (mut even, mut odd) = (CurvatureSum::new(3), CurvatureSum::new(3));
        (0..20).rev().for_each(|i| if i % 2 == 0 { &mut even } else { &mut odd }.add(&gradient(i)).unwrap());
        odd.merge(&even).unwrap();
        assert_eq!(odd, whole);
        assert_eq!(odd.digest(), whole.digest());
        for (index, f) in whole.diagonal().iter().enumerate() {
            let exact: f64 = (0..20).map(|i| (gradient(i)[index] as f64).powi(2)).sum::<f64>() / 20.0;
            assert!((f - exact).abs() <= 1e-15 * exact + 1e-24);
        }
    }

    #[test]
    fn a_file_reads_back_and_a_broken_one_is_named() {
        let mut sum = CurvatureSum::new(3);
        sum.add(&[0.1, -3.0, 200.0, 1e-6, 0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        let bytes = sum.to_bytes(&metadata()).unwrap();
        assert_eq!(bytes, sum.to_bytes(&metadata()).unwrap());
        assert_eq!(CurvatureSum::from_bytes(&bytes, "f").unwrap(), (sum, metadata()));
        for broken in [&bytes[..bytes.len() - 1], &bytes[..10], b"nonsense"] {
            assert!(
                CurvatureSum::from_bytes::<CurvatureMetadata>(broken, "f.safetensors")
                    .unwrap_err()
                    .message
                    .contains("f.safetensors")
            );
        }
    }

    #[test]
    fn runaway_gradients_and_empty_curvatures_are_refused() {
        let mut sum = CurvatureSum::new(1);
        assert!(sum.add(&[f32::NAN]).is_err() && sum.add(&[1e4]).is_err());
        assert!(Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Absolute(1.0)).is_err());
        assert!(Curvature::new(&sum, CurvatureForm::Identity, Damping::Absolute(1.0)).is_ok());
        sum.add(&[0.0]).unwrap();
        assert!(Curvature::new(&sum, CurvatureForm::Diagonal, Damping::Relative(0.1)).is_err());
    }
}
