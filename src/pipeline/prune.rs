//! The whole job: curvature, scores, selection and the coreset.

use super::kept::Kept;
use super::score::Basis;
use super::select::{Job, Started, clear, open_own, output_file};
use super::session::{Estimate, Session};
use super::validate::check_estimator;
use super::{
    Context, Counts, CurvatureSummary, PruneRequest, PruneSummary, ScoreSummary, curvature, parts, score,
};
use crate::error::{Code, Result};
use crate::report::OutputFile;
use crate::storage::{Location, ObjectInfo, io_error};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::time::Instant;

const CURVATURE: &str = "curvature.safetensors";
pub(super) const SCORES: &str = "scores.parquet";

/// Prunes: estimates the curvature, scores all records, selects, and writes everything below the output.
///
/// A curvature or scores file that an earlier run of the same request over the same inputs left there whole is used
/// again, so that a run that was killed goes on from its last finished step, to the same bytes.
pub fn prune(request: &PruneRequest, context: &Context) -> Result<PruneSummary> {
    let started = Started::now();
    let request = &request.settled()?;
    check_estimator(&request.objective, &request.score)?;
    let output: Location = request.output.parse()?;
    clear(&output, context)?;
    let mut session =
        Session::open(context, &request.inputs, &request.input, &request.model, &request.objective)?;
    if request.adapt {
        session.adapt(request.sample.sample)?;
    }
    let mut outputs = Vec::new();

    let curvature_at = output.join(CURVATURE);
    let (basis, counts) = curvature_step(request, &session, &curvature_at, &mut outputs)?;
    let seconds = started.clock.elapsed().as_secs_f64();
    let curvature =
        counts.map(|counts| CurvatureSummary::of(&basis.sum, counts, &session, &curvature_at, seconds));

    let scores_at = output.join(SCORES);
    let score = score_step(request, &session, &basis, &scores_at, &mut outputs)?;
    drop(basis);

    let scores = open_own(&scores_at, context)?;
    let job = Job {
        command: "prune",
        parameters: serde_json::to_value(request).unwrap_or_default(),
        inputs: Vec::new(),
        outputs,
        keep: request.keep,
        strategy: &request.strategy,
        groups: request.strategy.groups(&request.groups),
        seed: request.objective.seed,
        threads: session.threads,
        started,
    };
    let select = job.run(&scores, &session.dataset, &output, context)?;
    Ok(PruneSummary { curvature, score, select, seconds: started.clock.elapsed().as_secs_f64() })
}

/// The curvature of an earlier run if it is the one asked for, else a new one with the counts of its records.
fn curvature_step(
    request: &PruneRequest,
    session: &Session,
    location: &Location,
    outputs: &mut Vec<OutputFile>,
) -> Result<(Basis, Option<Counts>)> {
    let wanted = session.curvature_metadata(request.sample.curvature_form, request.sample.sample, None);
    if let Some(info) = left_by_earlier_run(location, session.context)? {
        match curvature::read(location, &session.context.storage) {
            Ok((sum, metadata)) if metadata == wanted => {
                log::info!("{location} is used again");
                session.context.storage.adopt(location);
                outputs.push(digest(&info, session.context)?);
                return Ok((Basis { sum, metadata, kept: Kept::default() }, None));
            }
            _ => log::info!("{location} is of another run and is replaced"),
        }
    }
    let Estimate { sum, counts, kept } = session.estimate(request.sample.sample, None, true)?;
    outputs.push(output_file(&curvature::write(&sum, &wanted, location, &session.context.storage)?));
    Ok((Basis { sum, metadata: wanted, kept }, Some(counts)))
}

/// The scores of an earlier run if they are those asked for, else new ones.
fn score_step(
    request: &PruneRequest,
    session: &Session,
    basis: &Basis,
    location: &Location,
    outputs: &mut Vec<OutputFile>,
) -> Result<ScoreSummary> {
    let started = Instant::now();
    if let Some(info) = left_by_earlier_run(location, session.context)? {
        let wanted = score::metadata(session, basis, &request.score, None);
        match open_own(location, session.context) {
            Ok(scores) if *scores.metadata() == wanted => {
                log::info!("{location} is used again");
                session.context.storage.adopt(location);
                outputs.push(digest(&info, session.context)?);
                parts::clear_left(location, session.context)?;
                return Ok(ScoreSummary::reused(location, session, scores.counts()?));
            }
            _ => log::info!("{location} is of another run and is replaced"),
        }
    }
    let scored = score::write(session, basis, &request.score, None, location, &mut |_| Ok(()))?;
    outputs.push(output_file(&scored.committed));
    Ok(scored.summary(session, location, started))
}

/// A file that lies where this run will write one.
fn left_by_earlier_run(location: &Location, context: &Context) -> Result<Option<ObjectInfo>> {
    match context.storage.stat(location) {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.code == Code::InputNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn digest(info: &ObjectInfo, context: &Context) -> Result<OutputFile> {
    let mut hash = Sha256::new();
    let mut reader = context.storage.open(info)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = reader.read(&mut buffer).map_err(|error| io_error(&info.location, error))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(OutputFile { uri: info.location.to_string(), size: info.size, sha256 })
}
