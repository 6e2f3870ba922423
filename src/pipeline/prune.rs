//! The whole job: curvature, scores, selection and the coreset.

use super::select::{Job, Started, clear};
use super::session::Session;
use super::steps::{Stepped, Steps};
use super::validate::check_estimator;
use super::{Context, PruneRequest, PruneSummary};
use crate::error::Result;
use crate::storage::Location;

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
    let steps = Steps { session: &session, sample: &request.sample, score: &request.score, folder: &output };
    let Stepped { curvature, score, scores, files } = steps.run(started.clock)?;
    let job = Job {
        command: "prune",
        parameters: serde_json::to_value(request).unwrap_or_default(),
        inputs: Vec::new(),
        outputs: files,
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
