//! The curvature job, and reading curvature files back.

use super::session::Session;
use super::work_folder::clear_beside;
use super::{Context, CurvatureRequest, CurvatureSummary};
use crate::error::{Error, Result};
use crate::influence::{CurvatureMetadata, CurvatureSum};
use crate::storage::{Committed, Location, Storage, io_error};
use serde::de::DeserializeOwned;
use std::io::Write;
use std::time::Instant;

/// Twice the curvature of a hidden size of 16 384: no model comes near.
const MAX_FILE_BYTES: u64 = 8 << 30;

/// Estimates the curvature on a random sample of the records and writes it.
pub fn curvature(request: &CurvatureRequest, context: &Context) -> Result<CurvatureSummary> {
    let started = Instant::now();
    let request = &request.settled()?;
    let output: Location = request.output.parse()?;
    let session =
        Session::open(context, &request.inputs, &request.input, &request.model, &request.objective)?;
    let estimate = session.estimate(&request.sample, request.shard, &output, false)?;
    write(&estimate.sum, &estimate.metadata, &output, &context.storage)?;
    clear_beside(&output, context)?;
    Ok(estimate.summary(&session, &output, started.elapsed().as_secs_f64()))
}

pub(super) fn write(
    sum: &CurvatureSum,
    metadata: &CurvatureMetadata,
    output: &Location,
    storage: &Storage,
) -> Result<Committed> {
    let mut writer = storage.create(output)?;
    writer.write_all(&sum.to_bytes(metadata)?).map_err(|error| io_error(output, error))?;
    writer.commit()
}

pub(super) fn read<M: DeserializeOwned + AsRef<CurvatureMetadata>>(
    location: &Location,
    storage: &Storage,
) -> Result<(CurvatureSum, M)> {
    CurvatureSum::from_bytes(&storage.get_small(location, MAX_FILE_BYTES)?, location.as_str())
}

/// Reads a curvature for scoring: it must be whole, and of the model and the objective that score.
pub(super) fn read_for(location: &Location, session: &Session) -> Result<(CurvatureSum, CurvatureMetadata)> {
    let (sum, metadata): (_, CurvatureMetadata) = read(location, &session.context.storage)?;
    if let Some(shard) = metadata.shard {
        return Err(Error::bad_input(format!(
            "{location} is part {shard} of a curvature: put the parts together with `bioprune merge` first"
        )));
    }
    let task = session.task;
    let differs = |what: &str, theirs: String, ours: String| {
        Err(Error::bad_input(format!(
            "{location} was estimated with {what} {theirs}, this scoring has {ours}"
        )))
    };
    if metadata.model.digest != session.model.info.digest {
        let of = |name: &str, digest: &str| format!("{name} ({digest})");
        return differs(
            "model",
            of(&metadata.model.name, &metadata.model.digest),
            of(&session.model.info.name, &session.model.info.digest),
        );
    }
    if metadata.objective != task.objective {
        return differs("objective", format!("{:?}", metadata.objective), format!("{:?}", task.objective));
    }
    if metadata.mask_passes != task.mask_passes {
        return differs("mask passes", metadata.mask_passes.to_string(), task.mask_passes.to_string());
    }
    Ok((sum, metadata))
}
