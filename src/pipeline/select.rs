//! The selection job: scores in, a coreset and the evidence for it out.

use super::coreset::{Coreset, matched_lengths};
use super::evidence::Evidence;
use super::groups::{self, Pool};
use super::{Context, SelectRequest, SelectSummary, StrategyOptions};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::groups::{GroupOptions, Groups};
use crate::report::{
    self, Distribution, GroupFacts, InputFile, Manifest, OutputFile, ReportData, Scoring, SetSize, Stratum,
    Tool, utc,
};
use crate::scores::{Scores, ScoresFile, ScoresFormat, ScoresMetadata};
use crate::selection::{self, Amount, Axis, Budget, Rule, Selection, Strategy, select as find};
use crate::sequence::Dataset;
use crate::storage::{Committed, Location, io_error};
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

const CONFOUNDS: &str = "confounds.tsv";
pub(super) const MANIFEST: &str = "manifest.json";
const REPORT: &str = "report.html";

/// Selects a coreset and writes it with `selected.tsv`, `report.html` and, last, `manifest.json`.
pub fn select(request: &SelectRequest, context: &Context) -> Result<SelectSummary> {
    let output: Location = request.output.parse()?;
    let started = Started::now();
    clear(&output, context)?;
    let (scores, inputs) = open(&request.scores, context)?;
    let metadata = scores.metadata().clone();
    let dataset = match request.sequences.as_slice() {
        [] => Dataset::from_sources(&context.storage, &metadata.sources, &metadata.input)?,
        moved => Dataset::open_moved(&context.storage, moved, &metadata.sources, &metadata.input)?,
    };
    let job = Job {
        command: "select",
        parameters: serde_json::to_value(request).unwrap_or_default(),
        inputs,
        outputs: Vec::new(),
        keep: request.keep,
        strategy: &request.strategy,
        groups: request.strategy.groups(&request.groups),
        seed: request.seed.unwrap_or(metadata.seed),
        threads: 1,
        started,
    };
    job.run(&scores, &dataset, &output, context)
}

/// When a job began, for people and for durations.
#[derive(Clone, Copy)]
pub(super) struct Started {
    pub at: SystemTime,
    pub clock: Instant,
}

impl Started {
    pub fn now() -> Self {
        Started { at: SystemTime::now(), clock: Instant::now() }
    }
}

/// Takes away what would make an unfinished output look finished.
pub(super) fn clear(output: &Location, context: &Context) -> Result<()> {
    context.storage.delete(&output.join(MANIFEST))?;
    context.storage.delete(&output.join(REPORT))
}

/// Opens one scoring from its files, given as URIs, directories or globs; tells which files those are.
pub(super) fn open(patterns: &[String], context: &Context) -> Result<(Scores, Vec<InputFile>)> {
    let (mut files, mut inputs) = (Vec::new(), Vec::new());
    for pattern in patterns {
        for info in context.storage.list(pattern)? {
            let format = ScoresFormat::of_name(info.location.file_name())?;
            let name = info.location.to_string();
            inputs.push(InputFile {
                uri: name.clone(),
                size: info.size,
                etag: info.etag.clone(),
                sha256: None,
            });
            files.push(ScoresFile { name, format, content: Arc::new(context.storage.object(info)) });
        }
    }
    Ok((Scores::open(files)?, inputs))
}

/// Opens scores that a job has written itself: they can be read to their end whatever another attempt at the same job does.
pub(super) fn open_own(location: &Location, context: &Context) -> Result<Scores> {
    let format = ScoresFormat::of_name(location.file_name())?;
    let content = Arc::new(context.storage.hold(location)?);
    Scores::open(vec![ScoresFile { name: location.to_string(), format, content }])
}

/// A selection to be made from open scores; `prune` and `select` differ in what they report only.
pub(super) struct Job<'a> {
    pub command: &'static str,
    pub parameters: serde_json::Value,
    /// Scores files that were read
    pub inputs: Vec<InputFile>,
    /// Files written before
    pub outputs: Vec<OutputFile>,
    pub keep: Budget,
    pub strategy: &'a StrategyOptions,
    pub groups: GroupOptions,
    pub seed: u64,
    pub threads: usize,
    pub started: Started,
}

impl Job<'_> {
    pub fn run(
        mut self,
        scores: &Scores,
        dataset: &Dataset,
        output: &Location,
        context: &Context,
    ) -> Result<SelectSummary> {
        let groups = groups::read(&self.groups, scores, dataset, context)?;
        let rule = self.rule(scores, context)?;
        let pool = Pool { scores, groups: groups.as_ref(), cancel: &context.cancel };
        let selection = find(&pool, &rule, self.keep, self.seed)?;

        // Two passes over the scores at once: one is held up by reading the sequences, the other by sorting.
        let needless = CancelToken::default();
        let (written, evidence) = thread::scope(|scope| {
            let evidence = scope.spawn(|| Evidence::gather(&pool, &selection, &needless));
            let written = Written::write(&pool, &selection, dataset, output, context)
                .inspect_err(|_| needless.cancel());
            let panicked = |_| Err(Error::internal("gathering the evidence panicked"));
            (written, evidence.join().unwrap_or_else(panicked))
        });
        let Written { coreset, influence, length, highest } = written?;
        let evidence = evidence?;
        self.outputs.extend(coreset.iter().map(output_file));
        let confounds = put(output, CONFOUNDS, evidence.confounds.to_tsv().as_bytes(), context)?;
        self.outputs.push(output_file(&confounds));
        let manifest = self.manifest(scores.metadata(), evidence, groups.as_ref(), &selection, highest);
        let mut data =
            ReportData { manifest, influence: influence.histogram(0.0), length: length.histogram(1.0) };
        let warnings = report::findings(&data);
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let report = put(output, REPORT, report::render(&data).as_bytes(), context)?;
        data.manifest.outputs.push(output_file(&report));
        put_json(output, MANIFEST, &data.manifest, context)?;
        Ok(SelectSummary {
            output: output.to_string(),
            pool: selection.pool.records,
            pool_residues: selection.pool.residues,
            kept: selection.kept.records,
            kept_residues: selection.kept.residues,
            warnings,
            seconds: self.started.clock.elapsed().as_secs_f64(),
        })
    }

    fn rule(&self, scores: &Scores, context: &Context) -> Result<Rule> {
        match (self.strategy.strategy, &self.strategy.match_selection) {
            (Strategy::RandomMatched, Some(selection)) => {
                self.strategy.check_matched()?;
                self.strategy.rule(Some(&matched_lengths(selection, scores, context)?))
            }
            (Strategy::RandomMatched, None) => Err(Error::usage(
                "strategy random-matched needs the selection to match: --match FOLDER, one with a selected.tsv in it",
            )),
            (_, Some(_)) => Err(Error::usage("--match goes with --strategy random-matched only")),
            (_, None) => self.strategy.rule(None),
        }
    }

    fn manifest(
        &self,
        metadata: &ScoresMetadata,
        evidence: Evidence,
        groups: Option<&Groups>,
        selection: &Selection,
        highest: f32,
    ) -> Manifest {
        let size = |amount: Amount| SetSize { records: amount.records, residues: amount.residues };
        let strata_of = match selection.axis {
            Axis::None => None,
            Axis::Influence => Some("influence"),
            Axis::Length => Some("length"),
        };
        // Most lengths do not occur; an empty range of influence says that there is a gap.
        let told = |stratum: &selection::Stratum| selection.axis != Axis::Length || stratum.pool.records > 0;
        let mut strata: Vec<Stratum> = (0..)
            .zip(&selection.strata)
            .filter(|(_, stratum)| told(stratum))
            .map(|(index, stratum): (u32, _)| Stratum {
                name: index.to_string(),
                low: stratum.from,
                high: stratum.to,
                records: stratum.pool.records,
                kept: stratum.kept.records,
            })
            .collect();
        if selection.axis == Axis::Influence && selection.excluded.records > 0 {
            strata.push(Stratum {
                name: "excluded".to_string(),
                low: selection.strata.last().map_or(0.0, |stratum| stratum.to),
                high: f64::from(highest),
                records: selection.excluded.records,
                kept: selection.refilled.records,
            });
        }
        Manifest {
            schema_version: report::SCHEMA_VERSION,
            tool: Tool::this(),
            command: self.command.to_string(),
            parameters: self.parameters.clone(),
            model: metadata.model.clone(),
            scoring: Scoring::from(metadata),
            seed: self.seed,
            inputs: metadata.sources.iter().map(InputFile::from).chain(self.inputs.clone()).collect(),
            outputs: self.outputs.clone(),
            counts: evidence.counts,
            repeated_ids: evidence.repeated_ids,
            selection: report::Selection {
                strategy: value_name(&self.strategy.strategy),
                keep: self.keep.to_string(),
                pool: size(selection.pool),
                kept: size(selection.kept),
                cap: selection.cap,
                beyond_cap: selection.cap.map(|_| size(selection.beyond_cap)),
                over_cap: selection.cap.map(|_| size(selection.over_cap)),
                strata_of: strata_of.map(str::to_string),
                strata,
            },
            groups: groups.map(|groups| GroupFacts {
                from: self.groups.groups.as_ref().map(ToString::to_string).unwrap_or_default(),
                sources: groups.sources.iter().map(InputFile::from).collect(),
                ungrouped: groups.ungrouped,
                unknown: groups.unknown,
            }),
            confounds: evidence.confounds,
            started: utc(self.started.at),
            finished: utc(SystemTime::now()),
            seconds: self.started.clock.elapsed().as_secs_f64(),
            threads: self.threads,
        }
    }
}

/// The coreset's files, and what was counted on the way.
struct Written {
    coreset: [Committed; 2],
    influence: Distribution,
    length: Distribution,
    /// The highest influence
    highest: f32,
}

impl Written {
    fn write(
        pool: &Pool<'_>,
        selection: &Selection,
        dataset: &Dataset,
        output: &Location,
        context: &Context,
    ) -> Result<Written> {
        let mut coreset = Coreset::create(dataset, pool.groups, output, context, selection.kept.records)?;
        let (mut influence, mut length) = (Distribution::default(), Distribution::default());
        let (mut highest, mut ordinal) = (f32::NEG_INFINITY, 0);
        selection.stream(pool, &mut |candidate, pick| {
            highest = highest.max(candidate.influence);
            influence.add(candidate.influence, pick.is_some());
            length.add(candidate.residues as f32, pick.is_some());
            ordinal += 1;
            pick.map_or(Ok(()), |pick| coreset.write(ordinal - 1, &pick, candidate.record_hash))
        })?;
        Ok(Written { coreset: coreset.finish()?, influence, length, highest })
    }
}

/// The name that a flag takes.
pub(super) fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

pub(super) fn output_file(committed: &Committed) -> OutputFile {
    OutputFile { uri: committed.location.to_string(), size: committed.size, sha256: committed.sha256.clone() }
}

pub(super) fn put(output: &Location, name: &str, bytes: &[u8], context: &Context) -> Result<Committed> {
    let location = output.join(name);
    let mut writer = context.storage.create(&location)?;
    writer.write_all(bytes).map_err(|error| io_error(&location, error))?;
    writer.commit()
}

/// Writes one document below the output.
pub(super) fn put_json(
    output: &Location,
    name: &str,
    value: &impl Serialize,
    context: &Context,
) -> Result<Committed> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::internal(format!("cannot write {name}")).caused_by(error))?;
    json.push(b'\n');
    put(output, name, &json, context)
}
