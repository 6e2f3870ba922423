//! The selection job: scores in, a coreset and the evidence for it out.

use super::{
    Context, SelectRequest, SelectSummary, Stage, StrategyOptions, stored::StoredObject, tracker::Tracker,
};
use crate::error::{Code, Error, Result};
use crate::report::{
    self, Distribution, InputFile, Manifest, OutputFile, ReportData, Scoring, SetSize, Stratum, Tool, utc,
};
use crate::scores::{Counts, Scores, ScoresFile, ScoresFormat, ScoresMetadata};
use crate::selection::{
    Amount, Axis, Budget, Candidates, LengthHistogram, Pick, Rule, Selection, Strategy, select as find,
};
use crate::sequence::{CoresetWriter, Dataset, Record, Records};
use crate::storage::{Committed, Location, ObjectInfo, ObjectWriter, io_error};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use xxhash_rust::xxh3::xxh3_64;

const SELECTED: &str = "selected.tsv";
const CORESET: &str = "coreset.fa.gz";
const MANIFEST: &str = "manifest.json";
const REPORT: &str = "report.html";

/// Ids are counted for repeats in pools of up to this many records (256 MiB of hashes); larger pools are not counted.
const MOST_IDS_COUNTED: u64 = 1 << 24;

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
            files.push(scores_file(info, format, context));
        }
    }
    Ok((Scores::open(files)?, inputs))
}

/// An object of the storage as a scores file to read.
pub(super) fn scores_file(info: ObjectInfo, format: ScoresFormat, context: &Context) -> ScoresFile {
    let name = info.location.to_string();
    ScoresFile { name, format, content: Arc::new(StoredObject::new(context.storage.clone(), info)) }
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
        let rule = self.rule(scores, context)?;
        let selection = find(scores, &rule, self.keep, self.seed)?;
        context.cancel.check()?;

        let mut coreset = Coreset::create(dataset, output, context, selection.kept.records)?;
        let (mut influence, mut length) = (Distribution::default(), Distribution::default());
        let mut highest = f32::NEG_INFINITY;
        selection.stream(scores, &mut |candidate, pick| {
            highest = highest.max(candidate.influence);
            influence.add(candidate.influence, pick.is_some());
            length.add(candidate.residues as f32, pick.is_some());
            pick.map_or(Ok(()), |pick| coreset.write(&pick, candidate.record_hash))
        })?;
        for committed in coreset.finish()? {
            self.outputs.push(output_file(&committed));
        }

        let (pool, kept) = (selection.pool, selection.kept);
        let (counts, repeated_ids) = counts(scores, pool.records)?;
        let manifest = self.manifest(scores.metadata(), counts, repeated_ids, &selection, highest);
        let mut data =
            ReportData { manifest, influence: influence.histogram(0.0), length: length.histogram(1.0) };
        let report = put(output, REPORT, report::render(&data).as_bytes(), context)?;
        data.manifest.outputs.push(output_file(&report));
        put(output, MANIFEST, &data.manifest.to_json()?, context)?;
        Ok(SelectSummary {
            output: output.to_string(),
            pool: pool.records,
            pool_residues: pool.residues,
            kept: kept.records,
            kept_residues: kept.residues,
            seconds: self.started.clock.elapsed().as_secs_f64(),
        })
    }

    fn rule(&self, scores: &Scores, context: &Context) -> Result<Rule> {
        let options = self.strategy;
        match (options.strategy, &options.match_selection) {
            (Strategy::RandomMatched, Some(selection)) => {
                Rule::random_matched(&matched_lengths(selection, scores, context)?)
            }
            (Strategy::RandomMatched, None) => Err(Error::usage(
                "strategy random-matched needs the selection to match: --match FOLDER, one with a selected.tsv in it",
            )),
            (_, Some(_)) => Err(Error::usage("--match goes with --strategy random-matched only")),
            (Strategy::TopK, None) => Ok(Rule::top_k()),
            (Strategy::Random, None) => Ok(Rule::random()),
            (Strategy::Coverage, None) => {
                Rule::coverage(options.exclude_top, options.strata, options.equal_count)
            }
        }
    }

    fn manifest(
        &self,
        metadata: &ScoresMetadata,
        counts: Counts,
        repeated_ids: Option<u64>,
        selection: &Selection,
        highest: f32,
    ) -> Manifest {
        let size = |amount: Amount| SetSize { records: amount.records, residues: amount.residues };
        let mut strata: Vec<Stratum> = (0..)
            .zip(&selection.strata)
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
            counts,
            repeated_ids,
            selection: report::Selection {
                strategy: name_of(self.strategy.strategy),
                keep: self.keep.to_string(),
                pool: size(selection.pool),
                kept: size(selection.kept),
                strata,
            },
            started: utc(self.started.at),
            finished: utc(SystemTime::now()),
            seconds: self.started.clock.elapsed().as_secs_f64(),
            threads: self.threads,
        }
    }
}

/// The name that `--strategy` takes.
fn name_of(strategy: Strategy) -> String {
    clap::ValueEnum::to_possible_value(&strategy)
        .map_or_else(String::new, |value| value.get_name().to_string())
}

/// The two files that hold the kept records, written side by side in input order.
struct Coreset<'a> {
    dataset: &'a Dataset,
    records: Records,
    coreset: CoresetWriter,
    selected: BufWriter<ObjectWriter>,
    selected_at: Location,
    tracker: Tracker<'a>,
}

impl<'a> Coreset<'a> {
    fn create(dataset: &'a Dataset, output: &Location, context: &'a Context, kept: u64) -> Result<Self> {
        let selected_at = output.join(SELECTED);
        let mut selected = BufWriter::new(context.storage.create(&selected_at)?);
        selected
            .write_all(b"source\tposition\tid\tinfluence\tstratum\treason\n")
            .map_err(|error| io_error(&selected_at, error))?;
        Ok(Coreset {
            dataset,
            records: dataset.records(None),
            coreset: CoresetWriter::create(&context.storage, &output.join(CORESET))?,
            selected,
            selected_at,
            tracker: Tracker::new(context, Stage::Select, Some(kept)),
        })
    }

    fn write(&mut self, pick: &Pick, hash: u64) -> Result<()> {
        let record = self.find(pick, hash)?;
        self.coreset.write(&record)?;
        let stratum = pick.stratum.map_or_else(|| "-".to_string(), |stratum| stratum.to_string());
        let id = String::from_utf8_lossy(record.id());
        let Pick { source, position, influence, reason, .. } = pick;
        writeln!(self.selected, "{source}\t{position}\t{id}\t{influence}\t{stratum}\t{reason}")
            .map_err(|error| io_error(&self.selected_at, error))?;
        self.tracker.advance(1, 0)
    }

    /// Reads on up to the picked record, which must be the one that was scored.
    fn find(&mut self, pick: &Pick, hash: u64) -> Result<Record> {
        let wanted = (pick.source, pick.position);
        for record in self.records.by_ref() {
            let record = record?;
            let here = (record.source, record.position);
            if here == wanted && record.hash() == hash {
                return Ok(record);
            }
            if here >= wanted {
                break;
            }
        }
        let uri = self.dataset.sources().get(pick.source as usize).map(|source| source.uri.to_string());
        Err(Error::new(
            Code::SourceChanged,
            format!(
                "{} does not have the scored record at position {}: it is not what was scored",
                uri.as_deref().unwrap_or("the dataset"),
                pick.position
            ),
        ))
    }

    fn finish(self) -> Result<[Committed; 2]> {
        let selected = self
            .selected
            .into_inner()
            .map_err(|error| io_error(&self.selected_at, error.into_error()))?
            .commit()?;
        let coreset = self.coreset.finish()?;
        self.tracker.finish();
        Ok([selected, coreset])
    }
}

/// Lengths of the records of another selection (a folder or its selected.tsv) out of the same scores.
fn matched_lengths(selection: &str, scores: &Scores, context: &Context) -> Result<LengthHistogram> {
    let mut location: Location = selection.parse()?;
    if location.file_name() != SELECTED {
        location = location.join(SELECTED);
    }
    let file = BufReader::new(context.storage.open(&context.storage.stat(&location)?)?);
    let mut keys = file.lines().zip(1..).skip(1).map(|(line, number)| {
        let line = line.map_err(|error| io_error(&location, error))?;
        let mut fields = line.split('\t').map(|field| field.parse::<u64>().ok());
        fields.next().flatten().zip(fields.next().flatten()).ok_or_else(|| {
            Error::bad_input(format!(
                "{location}, line {number}: allowed are lines of source, position, id … separated by tabs"
            ))
        })
    });
    // Both are in input order: they are gone through side by side.
    let mut wanted = keys.next().transpose()?;
    let mut lengths = LengthHistogram::default();
    scores.scan(&mut |candidates| {
        for candidate in candidates {
            if wanted == Some((u64::from(candidate.source), candidate.position)) {
                lengths.add(candidate.residues);
                wanted = keys.next().transpose()?;
            }
        }
        Ok(())
    })?;
    match wanted {
        None => Ok(lengths),
        Some((source, position)) => Err(Error::bad_input(format!(
            "{location} names a record (source {source}, position {position}) that is not in these scores: \
             it is a selection from others"
        ))),
    }
}

/// What the scores say became of the records, and how many ids had occurred before, where they could be counted.
fn counts(scores: &Scores, pool: u64) -> Result<(Counts, Option<u64>)> {
    if pool > MOST_IDS_COUNTED {
        return Ok((scores.counts()?, None));
    }
    let mut ids = HashSet::new();
    let mut repeated = 0;
    let counts = scores.read(&mut |rows| {
        repeated += rows.iter().filter(|row| !ids.insert(xxh3_64(row.id.as_bytes()))).count() as u64;
        Ok(())
    })?;
    Ok((counts, Some(repeated)))
}

pub(super) fn output_file(committed: &Committed) -> OutputFile {
    OutputFile { uri: committed.location.to_string(), size: committed.size, sha256: committed.sha256.clone() }
}

fn put(output: &Location, name: &str, bytes: &[u8], context: &Context) -> Result<Committed> {
    let location = output.join(name);
    let mut writer = context.storage.create(&location)?;
    writer.write_all(bytes).map_err(|error| io_error(&location, error))?;
    writer.commit()
}
