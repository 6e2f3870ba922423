//! Models of any size with random weights.

use bioprune::model::Architecture;
use bioprune::random::SplitMix;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Random weights of a scale at which no activation runs away, written as they are drawn.
pub fn write(architecture: &Architecture, path: &Path) -> std::io::Result<()> {
    let shapes = architecture.tensor_shapes();
    let mut config = serde_json::to_value(&architecture.dimensions)?;
    config["token_dropout"] = architecture.token_dropout.into();
    let mut header = serde_json::Map::new();
    let metadata = serde_json::json!({"architecture": architecture.family, "config": config.to_string()});
    header.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for (name, shape) in &shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut random = SplitMix::new(0);
    for (name, shape) in &shapes {
        let norm = name.contains("norm") && name.ends_with("weight");
        let scale = (shape[shape.len() - 1] as f32).powf(-0.5);
        for _ in 0..shape.iter().product() {
            let unit = (random.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0;
            file.write_all(&if norm { 1.0 } else { scale * unit }.to_le_bytes())?;
        }
    }
    file.flush()
}
