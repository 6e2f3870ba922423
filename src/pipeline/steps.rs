//! The steps before a selection, each with its file in a folder. A file that an earlier run of the same request over the same
//! inputs left there whole is used again.

use super::kept::Kept;
use super::score::Basis;
use super::select::{open_own, output_file};
use super::session::Session;
use super::work_folder::clear_beside;
use super::{Context, CurvatureSummary, SampleOptions, ScoreOptions, ScoreSummary, curvature, score};
use crate::digest::sha256_of;
use crate::error::{Code, Result};
use crate::influence::CurvatureMetadata;
use crate::report::OutputFile;
use crate::scores::Scores;
use crate::storage::{Location, ObjectInfo, io_error};
use std::time::Instant;

const CURVATURE: &str = "curvature.safetensors";
pub(super) const SCORES: &str = "scores.parquet";

/// What a folder is to hold.
pub(super) struct Steps<'a> {
    pub session: &'a Session<'a>,
    pub sample: &'a SampleOptions,
    pub score: &'a ScoreOptions,
    pub folder: &'a Location,
}

/// What it holds then.
pub(super) struct Stepped {
    /// Of a curvature that was estimated just now
    pub curvature: Option<CurvatureSummary>,
    pub score: ScoreSummary,
    pub scores: Scores,
    pub files: Vec<OutputFile>,
}

impl Steps<'_> {
    /// Estimates the curvature and scores all records, or takes what is there; `since` is when the job began.
    pub fn run(&self, since: Instant) -> Result<Stepped> {
        let curvature_at = self.folder.join(CURVATURE);
        let (basis, curvature, curvature_file) = self.curvature(&curvature_at, since)?;
        let scores_at = self.folder.join(SCORES);
        let (score, scores_file) = self.scores(&basis, &scores_at)?;
        let scores = open_own(&scores_at, self.session.context)?;
        Ok(Stepped { curvature, score, scores, files: vec![curvature_file, scores_file] })
    }

    /// The curvature of an earlier run if it is the one asked for, else a new one with what is to be said of it.
    fn curvature(
        &self,
        location: &Location,
        since: Instant,
    ) -> Result<(Basis, Option<CurvatureSummary>, OutputFile)> {
        let Steps { session, sample, .. } = self;
        let storage = &session.context.storage;
        let wanted = session.curvature_metadata(sample, None);
        if let Some(info) = left_by_earlier_run(location, session.context)? {
            match curvature::read::<CurvatureMetadata>(location, storage) {
                Ok((sum, metadata)) if metadata == wanted => {
                    log::info!("{location} is used again");
                    storage.adopt(location);
                    let file = digest(&info, session.context)?;
                    clear_beside(location, session.context)?;
                    return Ok((Basis { sum, metadata, kept: Kept::default() }, None, file));
                }
                _ => log::info!("{location} is of another run and is replaced"),
            }
        }
        let estimate = session.estimate(sample, None, location, true)?;
        let file = output_file(&curvature::write(&estimate.sum, &estimate.metadata, location, storage)?);
        clear_beside(location, session.context)?;
        let summary = estimate.summary(session, location, since.elapsed().as_secs_f64());
        Ok((estimate.into(), Some(summary), file))
    }

    /// The scores of an earlier run if they are those asked for, else new ones.
    fn scores(&self, basis: &Basis, location: &Location) -> Result<(ScoreSummary, OutputFile)> {
        let started = Instant::now();
        let Steps { session, score: options, .. } = self;
        if let Some(info) = left_by_earlier_run(location, session.context)? {
            let wanted = score::metadata(session, basis, options, None);
            match open_own(location, session.context) {
                Ok(scores) if *scores.metadata() == wanted => {
                    log::info!("{location} is used again");
                    session.context.storage.adopt(location);
                    let file = digest(&info, session.context)?;
                    clear_beside(location, session.context)?;
                    return Ok((ScoreSummary::reused(location, session, scores.counts()?), file));
                }
                _ => log::info!("{location} is of another run and is replaced"),
            }
        }
        let scored = score::write(session, basis, options, None, location, &mut |_| Ok(()))?;
        Ok((scored.summary(session, location, started), output_file(&scored.committed)))
    }
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
    let sha256 = sha256_of(context.storage.open(info)?).map_err(|error| io_error(&info.location, error))?;
    Ok(OutputFile { uri: info.location.to_string(), size: info.size, sha256 })
}
