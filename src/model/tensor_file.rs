//! The `.safetensors` format: a JSON header, then the tensors.

use super::stored::{Element, StoredTensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

type Contents = (Vec<(String, StoredTensor)>, Map<String, Value>);

/// Whether a file begins like this format: the header's length, then its JSON. A length may begin with the byte that a
/// pickle begins with.
pub(super) fn is_tensor_file(file: &[u8]) -> bool {
    let Some((length, rest)) = file.split_first_chunk() else { return false };
    u64::from_le_bytes(*length) <= rest.len() as u64 && rest.starts_with(b"{")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_as_long_as_a_pickle_begins_is_still_a_header() {
        let header = |length: usize| {
            let mut json = b"{\"__metadata__\":{\"family\":\"x\"}}".to_vec();
            json.resize(length, b' ');
            [&(length as u64).to_le_bytes()[..], &json].concat()
        };
        for length in [0x80, 0x4f80, 64] {
            let file = header(length);
            assert!(is_tensor_file(&file), "{length:#x}");
            assert_eq!(read(&file).unwrap().1["family"], "x");
            assert!(!is_tensor_file(&file[..file.len() - 1]), "cut off");
        }
        assert!(super::super::pickle::is_torch(&header(0x80)));
        // what torch.save of 1.5 begins with
        let legacy = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50];
        assert!(!is_tensor_file(&legacy) && !is_tensor_file(b"{}"));
    }
}
