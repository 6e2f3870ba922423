//! A model file's tensors by name, whatever the file's form; nothing in it is executed.

use super::kernels::LayerNorm;
use crate::error::{Error, Result};
use candle_core::pickle::{Object, PthTensors, Stack};
use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::Path;

/// A pickle's opcodes are read into memory: more than this is no list of tensors.
const MAX_PICKLE_BYTES: u64 = 64 << 20;

enum Source {
    Held(Cow<'static, [u8]>),
    Mapped(memmap2::Mmap),
    Pickle(PthTensors),
}

/// Where a tensor lies in the file.
struct Entry {
    /// The file's own name.
    own_name: String,
    shape: Vec<usize>,
    /// The first row, where this is a part of the file's tensor.
    first_row: usize,
}

/// Tensors by name, handed out once each, so that what a family does not use is noticed.
pub struct Weights {
    /// What errors call the file.
    file: String,
    source: Source,
    /// By the name in the family's terms.
    names: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
    /// What the file or a `config.json` beside it says of the architecture.
    pub config: Map<String, Value>,
    /// Digest of the file: `xxh3:` and 32 hexadecimal digits.
    pub digest: String,
}

impl Weights {
    /// A `.safetensors` file held in the program or in memory.
    pub fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        Self::new(name.to_string(), Source::Held(bytes), digest, Map::new())
    }

    /// A `.safetensors`, `.pth` or `.pt` file; a `config.json` beside it completes what it says.
    pub fn open(path: &Path, shown: &str) -> Result<Self> {
        let unreadable =
            |error: std::io::Error| Error::model(format!("model {shown} cannot be read")).caused_by(error);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        // SAFETY: the map is read-only; a file that another process rewrites meanwhile gives other weights, as it
        // would with plain reads, and its digest was taken from the same map.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(unreadable)?;
        let digest = digest(&map);
        let mut config = Map::new();
        let source = match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Source::Mapped(map),
            Some("pth" | "pt") => {
                let (tensors, arguments) = read_pickle(path).map_err(|error| {
                    Error::model(format!("model {shown} is not a PyTorch file of tensors")).caused_by(error)
                })?;
                config = arguments;
                Source::Pickle(tensors)
            }
            _ => {
                return Err(Error::model(format!(
                    "model {shown}: allowed are .safetensors, .pth and .pt files"
                )));
            }
        };
        let beside = path.with_file_name("config.json");
        if let Ok(text) = std::fs::read(&beside) {
            match serde_json::from_slice(&text) {
                Ok(Value::Object(more)) => config.extend(more),
                _ => return Err(Error::model(format!("{}: not a JSON object", beside.display()))),
            }
        }
        if let Ok(words) = std::fs::read_to_string(path.with_file_name("vocab.txt")) {
            let words: Vec<&str> = words.lines().map(str::trim).filter(|word| !word.is_empty()).collect();
            config.insert("vocab".into(), Value::from(words.join(" ")));
        }
        Self::new(shown.to_string(), source, digest, config)
    }

    fn new(file: String, source: Source, digest: String, mut config: Map<String, Value>) -> Result<Self> {
        let not_safetensors =
            |error| Error::model(format!("model {file} is not a safetensors file")).caused_by(error);
        let (shapes, metadata) = match &source {
            Source::Held(bytes) => read_header(bytes).map_err(not_safetensors)?,
            Source::Mapped(map) => read_header(map).map_err(not_safetensors)?,
            Source::Pickle(tensors) => {
                let shape = |info: &candle_core::pickle::TensorInfo| info.layout.dims().to_vec();
                (
                    tensors.tensor_infos().iter().map(|(name, info)| (name.clone(), shape(info))).collect(),
                    Map::new(),
                )
            }
        };
        for (key, value) in metadata {
            config.entry(key).or_insert(value);
        }
        let names = shapes
            .into_iter()
            .map(|(own_name, shape)| {
                (plain_name(&own_name).to_string(), Entry { own_name, shape, first_row: 0 })
            })
            .collect();
        Ok(Weights { file, source, names, taken: BTreeSet::new(), config, digest })
    }

    /// The shape of a tensor, or `None` where the file has none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.names.get(name).map(|entry| entry.shape.as_slice())
    }

    /// What errors call the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Gives tensors other names; those for which `new_name` has none keep theirs.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> Option<String>) {
        let names = std::mem::take(&mut self.names).into_iter();
        self.names = names.map(|(name, entry)| (new_name(&name).unwrap_or(name), entry)).collect();
    }

    /// Divides a matrix by rows into equal parts of these names; false where there is no such tensor.
    pub fn split(&mut self, name: &str, parts: &[String]) -> Result<bool> {
        let Some(Entry { own_name, shape, .. }) = self.names.remove(name) else { return Ok(false) };
        let [rows, columns] = shape[..] else {
            return Err(Error::model(format!(
                "model {}: tensor {name} has shape {shape:?}, expected is a matrix",
                self.file
            )));
        };
        if !rows.is_multiple_of(parts.len()) {
            return Err(Error::model(format!(
                "model {}: tensor {name} has shape {shape:?}, expected are {} equal parts",
                self.file,
                parts.len()
            )));
        }
        let rows = rows / parts.len();
        for (index, part) in parts.iter().enumerate() {
            let entry =
                Entry { own_name: own_name.clone(), shape: vec![rows, columns], first_row: index * rows };
            self.names.insert(part.clone(), entry);
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
        let Some(entry) = self.names.get(name) else {
            return Err(Error::model(format!("model {}: tensor {name} {shape:?} is missing", self.file)));
        };
        if entry.shape != shape {
            return Err(Error::model(format!(
                "model {}: tensor {name} has shape {:?}, expected is {shape:?}",
                self.file, entry.shape
            )));
        }
        let mut values = self.read(&entry.own_name).map_err(|error| {
            Error::model(format!("model {}: tensor {name} cannot be read", self.file)).caused_by(error)
        })?;
        let count: usize = shape.iter().product();
        if count < values.len() {
            let start = entry.first_row * count / shape[0].max(1);
            values = values[start..start + count].to_vec();
        }
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::model(format!("model {}: tensor {name} holds {bad}", self.file)));
        }
        self.taken.insert(name.to_string());
        Ok(values)
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
        match self.names.iter().find(|(name, _)| !self.taken.contains(*name) && !ignored(name)) {
            None => Ok(()),
            Some((name, entry)) => Err(Error::model(format!(
                "model {}: tensor {name} {:?} does not belong to this architecture",
                self.file, entry.shape
            ))),
        }
    }

    fn read(&self, own_name: &str) -> candle_core::Result<Vec<f32>> {
        let view = |bytes: &[u8]| SafeTensors::deserialize(bytes)?.tensor(own_name)?.load(&Device::Cpu);
        let tensor: Tensor = match &self.source {
            Source::Held(bytes) => view(bytes)?,
            Source::Mapped(map) => view(map)?,
            Source::Pickle(tensors) => tensors
                .get(own_name)?
                .ok_or_else(|| candle_core::Error::CannotFindTensor { path: own_name.to_string() })?,
        };
        tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

type Shapes = Vec<(String, Vec<usize>)>;

fn read_header(
    bytes: &[u8],
) -> std::result::Result<(Shapes, Map<String, Value>), safetensors::SafeTensorError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let tensors = SafeTensors::deserialize(bytes)?;
    let shapes = tensors.iter().map(|(name, view)| (name.to_string(), view.shape().to_vec())).collect();
    let mut config = Map::new();
    for (key, text) in metadata.metadata().iter().flatten() {
        match (key.as_str(), serde_json::from_str(text)) {
            ("config", Ok(Value::Object(more))) => config.extend(more),
            _ => {
                config.insert(key.clone(), Value::String(text.clone()));
            }
        }
    }
    Ok((shapes, config))
}

/// The tensors of a PyTorch file, and the scalars of the arguments saved beside them.
///
/// As released: `{"args": Namespace, "model": {...}}`, or a bare state dict.
fn read_pickle(path: &Path) -> candle_core::Result<(PthTensors, Map<String, Value>)> {
    let mut archive =
        zip::ZipArchive::new(BufReader::new(std::fs::File::open(path)?)).map_err(candle_core::Error::wrap)?;
    let mut arguments = Map::new();
    let mut key = None;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(candle_core::Error::wrap)?;
        if !entry.name().map_err(candle_core::Error::wrap)?.ends_with("data.pkl") {
            continue;
        }
        if entry.size() > MAX_PICKLE_BYTES {
            candle_core::bail!(
                "its pickle of {} bytes is larger than the {MAX_PICKLE_BYTES} allowed",
                entry.size()
            );
        }
        let mut stack = Stack::empty();
        stack.read_loop(&mut BufReader::new(entry))?;
        let Object::Dict(entries) = stack.finalize()? else { continue };
        for (name, value) in entries {
            match name.unicode().as_deref() {
                Ok("model") => key = Some("model"),
                Ok("args") => arguments = namespace(value),
                Ok("cfg") => {
                    let Object::Dict(parts) = value else { continue };
                    let model =
                        parts.into_iter().find(|(name, _)| name.clone().unicode().as_deref() == Ok("model"));
                    arguments = model.map_or(Map::new(), |(_, value)| namespace(value));
                }
                _ => {}
            }
        }
    }
    Ok((PthTensors::new(path, key)?, arguments))
}

/// The numbers, flags and texts of an `argparse.Namespace`, `encoder_X` also under the name X.
fn namespace(object: Object) -> Map<String, Value> {
    let mut map = Map::new();
    let Object::Build { args, .. } = object else { return map };
    let Object::Dict(entries) = *args else { return map };
    for (name, value) in entries {
        let Ok(name) = name.unicode() else { continue };
        let value = match value {
            Object::Int(number) => Value::from(number),
            Object::Long(number) => Value::from(number),
            Object::Bool(flag) => Value::from(flag),
            Object::Unicode(text) => Value::from(text),
            _ => continue,
        };
        if let Some(plain) = name.strip_prefix("encoder_") {
            map.insert(plain.to_string(), value.clone());
        }
        map.insert(name, value);
    }
    map
}

/// Without the prefixes that fairseq puts before a sentence encoder's names.
fn plain_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_prefix("encoder.").or(name.strip_prefix("decoder.")).unwrap_or(name);
    Cow::Borrowed(name.strip_prefix("sentence_encoder.").or(name.strip_prefix("encoder.")).unwrap_or(name))
}

fn digest(bytes: &[u8]) -> String {
    format!("xxh3:{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
