//! A model file's tensors by name, whatever the file's form; nothing in it is executed.
//!
//! Files are mapped into memory: a tensor's bytes are read once, when a family takes it.

use super::kernels::{LayerNorm, PackedMatrix, Pair, Strided};
use super::stored::StoredTensor;
use super::{pickle, shards, tensor_file};
use crate::error::{Error, Result};
use memmap2::{Mmap, UncheckedAdvice};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are hashed together.
const HASH_CHUNK: usize = 64 << 20;

/// Tensors by name, handed out once each, so that what a family does not use is noticed.
pub struct Weights {
    /// What errors call the file.
    file: String,
    parts: Vec<Bytes>,
    /// Name in the family's terms
    tensors: BTreeMap<String, Placed>,
    taken: BTreeSet<String>,
    /// Rows on their way into a packed matrix.
    buffer: Vec<f32>,
    /// What the file or a `config.json` beside it says of the architecture.
    pub config: Map<String, Value>,
    /// Digest of the file or files: `xxh3:` and 32 hexadecimal digits.
    pub digest: String,
}

/// The bytes of one file.
enum Bytes {
    Held(Cow<'static, [u8]>),
    Mapped(Mmap),
}

impl Bytes {
    /// Tells that these bytes are not needed soon: a file of several gigabytes need not stay in memory whole.
    fn release(&self, range: Range<usize>) {
        if let Bytes::Mapped(map) = self {
            // SAFETY: the map is of a file and read-only, so that dropped pages come back from the file.
            let released =
                unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
            // advice: where it is not taken, the pages stay
            released.unwrap_or_default();
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Held(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

struct Placed {
    own_name: String,
    part: usize,
    tensor: StoredTensor,
}

impl Weights {
    /// A `.safetensors` file held in the program or in memory.
    pub fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::new(name, vec![(name.to_string(), Bytes::Held(bytes.into()))])
    }

    /// A safetensors or PyTorch file, told apart by its first bytes; or an index (`….index.json`) of several.
    ///
    /// A `config.json` beside it has the last word on what the file says of its architecture.
    ///
    /// # Errors
    /// All have the code `model_unavailable` and name `shown`.
    pub fn open(path: &Path, shown: &str) -> Result<Self> {
        let paths = match shards::is_index(path) {
            true => shards::read(path, shown)?,
            false => vec![path.to_path_buf()],
        };
        let mut parts = Vec::new();
        for path in &paths {
            // a shard has a name of its own
            let name = match paths.len() {
                1 => shown.to_string(),
                _ => format!("{shown}, {}", path.file_name().unwrap_or_default().display()),
            };
            let bytes = map(path)
                .map_err(|error| Error::model(format!("model {name} cannot be read")).caused_by(error))?;
            parts.push((name, bytes));
        }
        let mut weights = Self::new(shown, parts)?;
        weights.config.extend(config_beside(path)?);
        if let Some(vocabulary) = vocabulary_beside(path)? {
            weights.config.insert("vocab".into(), Value::from(vocabulary));
        }
        Ok(weights)
    }

    fn new(file: &str, parts: Vec<(String, Bytes)>) -> Result<Self> {
        let mut config = Map::new();
        let mut tensors = BTreeMap::new();
        let mut hash = Xxh3::new();
        for (part, (name, bytes)) in parts.iter().enumerate() {
            let (found, more) = read(bytes, name)?;
            config.extend(more);
            for (own_name, tensor) in found {
                let plain = plain_name(&own_name).to_string();
                if let Some(other) =
                    tensors.insert(plain, Placed { own_name: own_name.clone(), part, tensor })
                {
                    return Err(Error::model(format!(
                        "model {file}: tensors {} and {own_name} have the same place",
                        other.own_name
                    )));
                }
            }
            for start in (0..bytes.len()).step_by(HASH_CHUNK) {
                let chunk = start..bytes.len().min(start + HASH_CHUNK);
                hash.update(&bytes[chunk.clone()]);
                bytes.release(chunk);
            }
        }
        let digest = format!("xxh3:{:032x}", hash.digest128());
        let parts = parts.into_iter().map(|(_, bytes)| bytes).collect();
        Ok(Weights {
            file: file.to_string(),
            parts,
            tensors,
            taken: BTreeSet::new(),
            buffer: Vec::new(),
            config,
            digest,
        })
    }

    /// The shape of a tensor, or `None` where the file has none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|placed| placed.tensor.shape())
    }

    /// What errors call the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Gives tensors other names; those for which `new_name` has none keep theirs.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> Option<String>) {
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors.map(|(name, placed)| (new_name(&name).unwrap_or(name), placed)).collect();
    }

    /// Divides a matrix by rows into equal parts of these names; false where there is no such tensor.
    pub fn split(&mut self, name: &str, parts: &[String]) -> Result<bool> {
        let Some(Placed { own_name, part, tensor }) = self.tensors.remove(name) else { return Ok(false) };
        let rows = match tensor.shape() {
            [rows, _] if rows.is_multiple_of(parts.len()) => rows / parts.len(),
            other => {
                return Err(Error::model(format!(
                    "model {}: tensor {name} has shape {other:?}, expected is a matrix of {} equal parts",
                    self.file,
                    parts.len()
                )));
            }
        };
        for (index, new_name) in parts.iter().enumerate() {
            let tensor = tensor.rows_from(index * rows, rows);
            self.tensors.insert(new_name.clone(), Placed { own_name: own_name.clone(), part, tensor });
        }
        Ok(true)
    }

    /// A number that the architecture needs, from the configuration under the first of `keys` that is there.
    pub fn number(&self, keys: &[&str]) -> Option<usize> {
        keys.iter().find_map(|key| self.config.get(*key)?.as_u64()).map(|number| number as usize)
    }

    pub fn real(&self, key: &str) -> Option<f64> {
        self.config.get(key)?.as_f64()
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.config.get(key)?.as_bool()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key)?.as_str()
    }

    /// The values of a tensor in f32, row by row; an error names it and both shapes if it is not of `shape`.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        self.take_to(&mut values, name, shape, 1.0)?;
        Ok(values)
    }

    /// The same times `scale`, appended to `values`.
    pub fn take_to(&mut self, values: &mut Vec<f32>, name: &str, shape: &[usize], scale: f32) -> Result<()> {
        let Some(Placed { part, tensor, .. }) = self.tensors.get(name) else {
            return Err(Error::model(format!("model {}: tensor {name} {shape:?} is missing", self.file)));
        };
        let found = tensor.shape();
        if found != shape {
            return Err(Error::model(format!(
                "model {}: tensor {name} has shape {found:?}, expected is {shape:?}",
                self.file
            )));
        }
        let start = values.len();
        tensor.append_to(values, &self.parts[*part]);
        self.parts[*part].release(tensor.bytes());
        if let Some(bad) = values[start..].iter().find(|value| !value.is_finite()) {
            return Err(Error::model(format!("model {}: tensor {name} holds {bad}", self.file)));
        }
        values[start..].iter_mut().for_each(|value| *value *= scale);
        self.taken.insert(name.to_string());
        Ok(())
    }

    /// The weights of linear layers `[outputs, inputs]`, each times its scale, one below the other and transposed: as
    /// the kernels take them.
    pub fn pack(&mut self, layers: &[(&str, f32)], shape: [usize; 2]) -> Result<PackedMatrix> {
        // All layers go through one buffer: fresh memory for each would cost more time than reading them.
        let mut rows = std::mem::take(&mut self.buffer);
        rows.clear();
        for (name, scale) in layers {
            self.take_to(&mut rows, &format!("{name}.weight"), &shape, *scale)?;
        }
        let [outputs, inputs] = shape;
        let packed = PackedMatrix::new(inputs, layers.len() * outputs, Strided::transposed(&rows, inputs));
        self.buffer = rows;
        Ok(packed)
    }

    /// The same in bf16.
    pub fn pack_pairs(&mut self, layers: &[(&str, f32)], shape: [usize; 2]) -> Result<PackedMatrix<Pair>> {
        let [outputs, inputs] = shape;
        let (mut rows, mut pairs, mut all) = (std::mem::take(&mut self.buffer), Vec::new(), Vec::new());
        for (name, scale) in layers {
            rows.clear();
            self.take_to(&mut rows, &format!("{name}.weight"), &shape, *scale)?;
            Pair::of_rows(&rows, inputs, inputs, &mut pairs);
            all.extend_from_slice(&pairs[..outputs * Pair::in_row(inputs)]);
        }
        self.buffer = rows;
        let width = Pair::in_row(inputs);
        Ok(PackedMatrix::new(width, layers.len() * outputs, Strided::transposed(&all, width)))
    }

    /// A LayerNorm over `d` values; one without a bias has zeros for it.
    pub fn layer_norm(&mut self, name: &str, d: usize, epsilon: f32, bias: bool) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.take(&format!("{name}.weight"), &[d])?,
            bias: if bias { self.take(&format!("{name}.bias"), &[d])? } else { vec![0.0; d] },
            epsilon,
        })
    }

    /// An error for a tensor that nothing has used, unless `ignored` accepts it.
    pub fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<()> {
        match self.tensors.iter().find(|(name, _)| !self.taken.contains(*name) && !ignored(name)) {
            None => Ok(()),
            Some((name, placed)) => Err(Error::model(format!(
                "model {}: tensor {name} {:?} does not belong to this architecture",
                self.file,
                placed.tensor.shape()
            ))),
        }
    }
}

fn map(path: &Path) -> std::io::Result<Bytes> {
    let file = File::open(path)?;
    // SAFETY: the map is read-only; a file that another process rewrites meanwhile gives other weights, as it would
    // with plain reads, and its digest was taken from the same map.
    let map = unsafe { Mmap::map(&file) }?;
    Ok(Bytes::Mapped(map))
}

type Contents = (Vec<(String, StoredTensor)>, Map<String, Value>);

/// The tensors of a file, and what it says of its architecture.
fn read(bytes: &[u8], name: &str) -> Result<Contents> {
    if pickle::is_torch(bytes) && !tensor_file::is_tensor_file(bytes) {
        let checkpoint = pickle::read(bytes).map_err(|error| {
            Error::model(format!("model {name} is not a PyTorch file that can be read")).caused_by(error)
        })?;
        return Ok((checkpoint.tensors, checkpoint.arguments));
    }
    tensor_file::read(bytes).map_err(|reason| {
        Error::model(format!(
            "model {name} is neither a safetensors file nor one of PyTorch (.pth, .pt, .bin): {reason}"
        ))
    })
}

/// What a `config.json` in the same folder says.
fn config_beside(path: &Path) -> Result<Map<String, Value>> {
    let beside = path.with_file_name("config.json");
    let unreadable = || Error::model(format!("{} cannot be read", beside.display()));
    let text = match std::fs::read(&beside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        other => other.map_err(|error| unreadable().caused_by(error))?,
    };
    match serde_json::from_slice(&text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Error::model(format!("{}: not a JSON object", beside.display()))),
        Err(error) => Err(unreadable().caused_by(error)),
    }
}

/// The tokens of a `vocab.txt` in the same folder, in order and separated by blanks.
fn vocabulary_beside(path: &Path) -> Result<Option<String>> {
    let beside = path.with_file_name("vocab.txt");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok(Some(text.split_whitespace().collect::<Vec<_>>().join(" "))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::model(format!("{} cannot be read", beside.display())).caused_by(error)),
    }
}

/// Without the prefixes that fairseq puts before a sentence encoder's names.
fn plain_name(name: &str) -> &str {
    let name = name.strip_prefix("encoder.").or(name.strip_prefix("decoder.")).unwrap_or(name);
    name.strip_prefix("sentence_encoder.").or(name.strip_prefix("encoder.")).unwrap_or(name)
}
