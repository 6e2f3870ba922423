//! Whether a job's output is complete already: left by a run that ended before anybody noted it.

use super::select::MANIFEST;
use super::steps::SCORES;
use super::{Context, PruneRequest, PruneSummary, ScoreSummary, SelectRequest, SelectSummary};
use crate::error::{Code, Result};
use crate::groups::{GroupOptions, GroupSource};
use crate::report::{Manifest, Tool};
use crate::storage::{Location, ObjectInfo};
use serde::Serialize;
use std::collections::HashSet;

/// A manifest names every input: 10,000 files take some 2 MB.
const MOST_BYTES: u64 = 256 << 20;

/// What a prune would report, if all that it would write lies there from the same request over the same inputs.
pub fn finished_prune(request: &PruneRequest, context: &Context) -> Result<Option<PruneSummary>> {
    let settled = request.settled()?;
    let output: Location = request.output.parse()?;
    let Some(manifest) = manifest("prune", &settled, &output, (&request.inputs, &request.groups), context)?
    else {
        return Ok(None);
    };
    let score = ScoreSummary {
        scores: output.join(SCORES).to_string(),
        model: manifest.model.name.clone(),
        counts: manifest.counts.clone(),
        reused: manifest.counts.scored,
        tokens: 0,
        tokens_per_second: 0.0,
        confounds: None,
        seconds: 0.0,
    };
    let seconds = manifest.seconds;
    Ok(Some(PruneSummary { curvature: None, score, select: selected(&manifest, &output), seconds }))
}

/// The same of a selection.
pub fn finished_select(request: &SelectRequest, context: &Context) -> Result<Option<SelectSummary>> {
    let output: Location = request.output.parse()?;
    let manifest = manifest("select", request, &output, (&request.scores, &request.groups), context)?;
    Ok(manifest.map(|manifest| selected(&manifest, &output)))
}

fn selected(manifest: &Manifest, output: &Location) -> SelectSummary {
    let (pool, kept) = (manifest.selection.pool, manifest.selection.kept);
    SelectSummary {
        output: output.to_string(),
        pool: pool.records,
        pool_residues: pool.residues,
        kept: kept.records,
        kept_residues: kept.residues,
        warnings: manifest.confounds.warnings.clone(),
        seconds: manifest.seconds,
    }
}

/// The manifest of this request over these inputs as they are now, if every file that it names is there whole.
fn manifest(
    command: &str,
    request: &impl Serialize,
    output: &Location,
    (inputs, groups): (&[String], &GroupOptions),
    context: &Context,
) -> Result<Option<Manifest>> {
    let storage = &context.storage;
    let manifest = match storage.get_small(&output.join(MANIFEST), MOST_BYTES) {
        Ok(bytes) => serde_json::from_slice::<Manifest>(&bytes),
        Err(error) if error.code == Code::InputNotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // one of another version of this program is another job's
    let Ok(manifest) = manifest else { return Ok(None) };
    let same_request = manifest.command == command
        && manifest.tool == Tool::this()
        && serde_json::to_value(request).is_ok_and(|parameters| parameters == manifest.parameters);
    if !same_request {
        return Ok(None);
    }
    let tables = manifest.groups.iter().flat_map(|groups| &groups.sources);
    let known: HashSet<_> = (manifest.inputs.iter().chain(tables))
        .map(|input| (input.uri.as_str(), input.size, input.etag.as_deref()))
        .collect();
    let table = match &groups.groups {
        Some(GroupSource::Table(table)) => Some(table),
        _ => None,
    };
    for input in inputs.iter().chain(table) {
        let same =
            |info: &ObjectInfo| known.contains(&(info.location.as_str(), info.size, info.etag.as_deref()));
        if !storage.list(input)?.iter().all(same) {
            return Ok(None);
        }
    }
    for file in &manifest.outputs {
        match storage.stat(&file.uri.parse()?) {
            Ok(info) if info.size == file.size => {}
            Err(error) if error.code != Code::InputNotFound => return Err(error),
            _ => return Ok(None),
        }
    }
    Ok(Some(manifest))
}
