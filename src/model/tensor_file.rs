//! The `.safetensors` format: a JSON header, then the tensors.

use super::stored::{Element, StoredTensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

type Contents = (Vec<(String, StoredTensor)>, Map<String, Value>);

/// The tensors of a file and its metadata; the metadata `config` holds JSON, as the trainer writes it.
pub(super) fn read(file: &[u8]) -> Result<Contents, String> {
    // this checks that the tensors fill the rest of the file and do not overlap
    let (header_size, header) = SafeTensors::read_metadata(file).map_err(|error| error.to_string())?;
    let data = header_size + size_of::<u64>();
    let mut tensors = Vec::new();
    for (name, info) in header.tensors() {
        let element = element(info.dtype)
            .ok_or_else(|| format!("tensor {name} has elements of type {:?}", info.dtype))?;
        let (start, end) = info.data_offsets;
        let room = (end - start) / element.size();
        let tensor = StoredTensor::rows(element, info.shape.clone(), data + start, room);
        tensors.push((name.clone(), tensor.map_err(|reason| format!("tensor {name}: {reason}"))?));
    }
    Ok((tensors, config(header.metadata().iter().flatten())))
}

fn config<'a>(metadata: impl Iterator<Item = (&'a String, &'a String)>) -> Map<String, Value> {
    let mut config = Map::new();
    for (key, text) in metadata {
        match (key.as_str(), serde_json::from_str(text)) {
            ("config", Ok(Value::Object(more))) => config.extend(more),
            _ => {
                config.insert(key.clone(), Value::String(text.clone()));
            }
        }
    }
    config
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
