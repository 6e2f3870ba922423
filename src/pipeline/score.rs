//! The scoring job.

use super::estimate::Estimate;
use super::evidence::observation;
use super::kept::Kept;
use super::parts::Parts;
use super::session::Session;
use super::validate::check_estimator;
use super::{Context, Counts, ScoreOptions, ScoreRequest, ScoreSummary, curvature};
use crate::confounds::Observer;
use crate::error::{Error, Result};
use crate::influence::{Curvature, CurvatureMetadata, CurvatureSum, Estimator};
use crate::scores::{
    CurvatureRef, ModelRef, SCHEMA_VERSION, ScoreRow, ScoresFormat, ScoresMetadata, ScoresWriter,
};
use crate::sequence::Shard;
use crate::storage::{Committed, Location, ObjectWriter};
use std::time::Instant;

/// Scores every record of the inputs, or of one shard of them.
pub fn score(request: &ScoreRequest, context: &Context) -> Result<ScoreSummary> {
    let started = Instant::now();
    let request = &request.settled()?;
    check_estimator(&request.objective, &request.score)?;
    let output: Location = request.output.parse()?;
    // Before any work: the name must say a format.
    ScoresFormat::of_name(output.file_name())?;
    let mut session =
        Session::open(context, &request.inputs, &request.input, &request.model, &request.objective)?;
    if request.adapt {
        session.adapt(request.sample.sample)?;
    }
    let basis = match &request.curvature {
        Some(file) => {
            let (sum, metadata) = curvature::read_for(&file.parse()?, &session)?;
            Basis { sum, metadata, kept: Kept::default() }
        }
        None => {
            // All shards must score with one curvature: it is estimated over all records.
            session.estimate(&request.sample, None, &output, request.shard.is_none())?.into()
        }
    };
    let mut observer = Observer::default();
    let mut observe =
        |rows: &[ScoreRow]| rows.iter().try_for_each(|row| observer.add(&observation(row, None, false)));
    let scored = write(&session, &basis, &request.score, request.shard, &output, &mut observe)?;
    let confounds = observer.finish(None, false)?;
    confounds.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(ScoreSummary { confounds: Some(confounds), ..scored.summary(&session, &output, started) })
}

/// What records are scored with.
pub(super) struct Basis {
    pub sum: CurvatureSum,
    /// Of the curvature
    pub metadata: CurvatureMetadata,
    /// Gradients of its sample, where it was estimated just now
    pub kept: Kept,
}

impl From<Estimate> for Basis {
    fn from(Estimate { sum, metadata, kept, .. }: Estimate) -> Self {
        Basis { sum, metadata, kept }
    }
}

/// What [`write`] did.
pub(super) struct Scored {
    pub counts: Counts,
    pub committed: Committed,
    tokens: u64,
    scoring_seconds: f64,
    /// Rows that an earlier run had committed
    reused: u64,
}

impl Scored {
    pub fn summary(&self, session: &Session, output: &Location, started: Instant) -> ScoreSummary {
        ScoreSummary {
            scores: output.to_string(),
            model: session.model.info.name.clone(),
            counts: self.counts.clone(),
            reused: self.reused,
            tokens: self.tokens,
            tokens_per_second: self.tokens as f64 / self.scoring_seconds.max(1e-9),
            confounds: None,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

/// Scores with a curvature and writes the scores file; `observe` is shown all rows.
pub(super) fn write(
    session: &Session,
    basis: &Basis,
    options: &ScoreOptions,
    shard: Option<Shard>,
    output: &Location,
    observe: &mut dyn FnMut(&[ScoreRow]) -> Result<()>,
) -> Result<Scored> {
    let metadata = metadata(session, basis, options, shard);
    let curvature = Curvature::new(&basis.sum, basis.metadata.form, options.damping)?;
    let with = (&curvature, &basis.kept);
    let sink = session.context.storage.create(output)?;
    let mut parts = Parts::of(output, &metadata, session.context)?;
    let writer = ScoresWriter::create(sink, ScoresFormat::of_name(output.file_name())?, metadata)?;
    write_in_parts(session, with, options.estimator, shard, &mut parts, writer, observe)
        .inspect_err(|error| parts.give_up(error))
}

fn write_in_parts(
    session: &Session,
    with: (&Curvature, &Kept),
    estimator: Estimator,
    shard: Option<Shard>,
    parts: &mut Parts,
    mut writer: ScoresWriter<ObjectWriter>,
    observe: &mut dyn FnMut(&[ScoreRow]) -> Result<()>,
) -> Result<Scored> {
    let found = parts.replay(|rows| {
        observe(rows)?;
        writer.write(rows)
    })?;
    let mut counts = found.counts.clone();
    let scored = session.score(with, estimator, shard, &found, |rows, of_rows| {
        observe(rows)?;
        writer.write(rows)?;
        counts.add(of_rows);
        parts.add(rows, of_rows)
    });
    let (left_out, tokens, scoring_seconds) = scored?;
    counts.add(&left_out);
    if counts.records == 0 && shard.is_none() {
        return Err(Error::bad_input("the inputs hold no record"));
    }
    let committed = writer.finish(&counts)?.commit()?;
    parts.clear()?;
    Ok(Scored { counts, committed, tokens, scoring_seconds, reused: found.rows })
}

/// What a scores file says of itself.
pub(super) fn metadata(
    session: &Session,
    basis: &Basis,
    options: &ScoreOptions,
    shard: Option<Shard>,
) -> ScoresMetadata {
    let (sum, curvature) = (&basis.sum, &basis.metadata);
    let model = session.model_reference();
    ScoresMetadata {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_string(),
        model: ModelRef { name: model.name, digest: model.digest },
        engine: session.placement.engine().to_string(),
        objective: session.task.objective,
        mask_passes: session.task.mask_passes,
        estimator: options.estimator,
        damping: options.damping,
        seed: session.task.seed,
        curvature: CurvatureRef {
            form: curvature.form,
            digest: sum.digest(),
            records: sum.count,
            mean: sum.mean() as f32,
        },
        input: curvature.input.clone(),
        sources: session.dataset.sources().to_vec(),
        shard,
    }
}

impl ScoreSummary {
    /// Of a scores file that was there already.
    pub(super) fn reused(location: &Location, session: &Session, counts: Counts) -> Self {
        ScoreSummary {
            scores: location.to_string(),
            model: session.model.info.name.clone(),
            reused: counts.scored,
            counts,
            tokens: 0,
            tokens_per_second: 0.0,
            confounds: None,
            seconds: 0.0,
        }
    }
}
