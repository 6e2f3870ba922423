//! Putting parts together: curvature files add up, scores files are joined.

use super::{Context, MergeRequest, MergeSummary, curvature, select};
use crate::error::{Error, Result};
use crate::influence::{CurvatureMetadata, CurvatureSum};
use crate::scores::{ScoresFormat, merge as join};
use crate::sequence::Shard;
use crate::storage::Location;

const CURVATURE_EXTENSION: &str = ".safetensors";

/// Merges all parts of one curvature or of one scoring; the result is byte for byte that of an unsharded run.
pub fn merge(request: &MergeRequest, context: &Context) -> Result<MergeSummary> {
    let output: Location = request.output.parse()?;
    let mut parts = Vec::new();
    for pattern in &request.files {
        parts.extend(context.storage.list(pattern)?.into_iter().map(|info| info.location));
    }
    let curvatures = parts.iter().filter(|part| part.file_name().ends_with(CURVATURE_EXTENSION)).count();
    let records = match (curvatures, parts.len() - curvatures) {
        (_, 0) => merge_curvatures(&parts, &output, context)?,
        (0, _) => {
            let format = ScoresFormat::of_name(output.file_name())?;
            let (scores, _) = select::open(&request.files, context)?;
            let (sink, rows) = join(&scores, context.storage.create(&output)?, format)?;
            sink.commit()?;
            rows
        }
        _ => {
            return Err(Error::usage(
                "curvature files (.safetensors) and scores files cannot be merged with one another",
            ));
        }
    };
    Ok(MergeSummary { output: output.to_string(), parts: parts.len() as u64, records })
}

fn merge_curvatures(parts: &[Location], output: &Location, context: &Context) -> Result<u64> {
    let mut whole: Option<(CurvatureSum, CurvatureMetadata, &Location)> = None;
    let mut shards: Vec<(Shard, &Location)> = Vec::new();
    for part in parts {
        let (sum, metadata): (_, CurvatureMetadata) = curvature::read(part, &context.storage)?;
        let shard = metadata.shard.ok_or_else(|| {
            Error::bad_input(format!(
                "{part} is a whole curvature already; allowed are parts made with --shard I/N"
            ))
        })?;
        shards.push((shard, part));
        match &mut whole {
            None => whole = Some((sum, CurvatureMetadata { shard: None, ..metadata }, part)),
            Some((total, first, named)) => {
                let same = metadata.adds_up_with(first) && sum.hidden_size() == total.hidden_size();
                if !same {
                    return Err(Error::bad_input(format!(
                        "{named} and {part} are not parts of one curvature: model, objective, sample or sources differ"
                    )));
                }
                total.merge(&sum)?;
            }
        }
    }
    let Some((sum, metadata, _)) = whole else { return Err(Error::usage("no curvature file was named")) };
    complete(shards)?;
    curvature::write(&sum, &metadata, output, &context.storage)?;
    Ok(sum.count)
}

/// Each of the N shards must be there once.
fn complete(mut shards: Vec<(Shard, &Location)>) -> Result<()> {
    shards.sort_by_key(|(shard, _)| (shard.count, shard.index));
    for pair in shards.windows(2) {
        let [(left, left_at), (right, right_at)] = pair else { continue };
        if left == right || left.count != right.count {
            return Err(Error::bad_input(format!(
                "{left_at} is shard {left} and {right_at} shard {right}: allowed is each shard of one count once"
            )));
        }
    }
    let shards: Vec<_> = shards.iter().map(|(shard, _)| *shard).collect();
    match Shard::missing(&shards) {
        None => Ok(()),
        Some(missing) => Err(Error::bad_input(format!("shards {missing} are missing"))),
    }
}
