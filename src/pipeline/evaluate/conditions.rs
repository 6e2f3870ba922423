//! What is trained on: each coreset, and the controls it is compared with.

use super::super::Context;
use super::super::select::value_name;
use super::super::session::Session;
use super::super::steps::Steps;
use super::composition;
use super::pool::Pool;
use super::request::{Control, EvaluateRequest};
use crate::error::{Error, Result};
use crate::influence::{Estimator, Objective};
use crate::pipeline::{ObjectiveOptions, ScoreOptions, StrategyOptions};
use crate::selection::{
    Amount, Budget, Candidate, Candidates, Cap, LengthHistogram, Rule, Strategy, select as find,
};
use crate::sequence::{Dataset, InputFormat, InputOptions};
use crate::storage::Location;
use std::time::Instant;

/// One set of records to train on, or one for each seed where it is drawn.
pub(super) struct Condition {
    pub name: String,
    pub kind: Kind,
    /// Of a group, where the kind has one
    cap: Cap,
    /// The conditions that this one is compared with, by their places in the list
    pub controls: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Coreset {
        scoring: usize,
        strategy: Strategy,
        keep: Budget,
        /// Under the cap of a group
        capped: bool,
    },
    /// Made by the user
    Given(Vec<u32>),
    /// A draw of so many records or residues
    Random(Budget),
    /// A draw of so many records under the cap of a group
    Capped(u64),
    /// A draw with the lengths of another condition's records
    Lengths(usize),
    /// A draw with the lengths and the composition of another condition's records
    Composition(usize),
    Everything,
}

/// A way to score, and the records' scores under it in the order of the pool.
pub(super) struct Scored {
    /// Also the name of its folder
    pub name: String,
    candidates: Vec<Candidate>,
    /// The group of each candidate
    keys: Vec<Option<u64>>,
    /// Where each candidate is in the pool; records that the reference model's alphabet left out are not among them
    places: Vec<u32>,
}

/// The options of one scoring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scoring {
    pub objective: Objective,
    pub estimator: Estimator,
    /// 1 where the objective has no passes
    pub mask_passes: u8,
}

impl Scoring {
    /// All that a request asks for, each once.
    pub fn all(request: &EvaluateRequest) -> Vec<Scoring> {
        let mut all = Vec::new();
        for &objective in &request.objectives {
            for &estimator in &request.estimators {
                for &passes in &request.mask_passes {
                    let mask_passes = if objective == Objective::MaskedLm { passes } else { 1 };
                    // the published program has one estimator
                    let estimator =
                        if objective == Objective::PaperCode { Estimator::Plain } else { estimator };
                    let scoring = Scoring { objective, estimator, mask_passes };
                    if !all.contains(&scoring) {
                        all.push(scoring);
                    }
                }
            }
        }
        all
    }

    fn name(&self) -> String {
        let (objective, estimator) = (value_name(&self.objective), value_name(&self.estimator));
        match self.objective {
            Objective::MaskedLm => format!("{objective}-{estimator}-{}", self.mask_passes),
            _ => format!("{objective}-{estimator}"),
        }
    }

    /// Scores the pool, or takes what an earlier run left in the folder of this scoring.
    pub fn score(
        &self,
        request: &EvaluateRequest,
        (pool, positions): (&Pool, &[u64]),
        output: &Location,
        context: &Context,
    ) -> Result<Scored> {
        let name = self.name();
        let objective =
            ObjectiveOptions { objective: self.objective, mask_passes: self.mask_passes, seed: request.seed };
        let inputs = [pool.file.to_string()];
        let input = pool_input(&request.input);
        let session = Session::open(context, &inputs, &input, &request.model, &objective)?;
        let score = &ScoreOptions { estimator: self.estimator, damping: request.damping };
        let steps = Steps { session: &session, sample: &request.sample, score, folder: &output.join(&name) };
        let scores = steps.run(Instant::now())?.scores;
        let mut candidates: Vec<Candidate> = Vec::new();
        scores.scan(&mut |some| {
            candidates.extend_from_slice(some);
            Ok(())
        })?;
        let place = |candidate: &Candidate| match positions.binary_search(&candidate.position) {
            Ok(place) => Ok(place as u32),
            Err(_) => Err(Error::internal("a score is of no record of the pool")),
        };
        let places: Vec<u32> = candidates.iter().map(place).collect::<Result<_>>()?;
        let keys = places.iter().map(|&place| pool.keys[place as usize]).collect();
        Ok(Scored { name, candidates, keys, places })
    }
}

impl Candidates for Scored {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        visit(&self.candidates)
    }

    fn group(&self, ordinal: u64) -> Option<u64> {
        self.keys[ordinal as usize]
    }
}

impl Scored {
    /// The whole pool without scores, for the draws that ask for none.
    pub fn unscored(pool: &Pool) -> Scored {
        let places = 0..pool.records.len() as u32;
        let candidate = |place: u32| Candidate {
            source: 0,
            position: u64::from(place),
            record_hash: pool.records[place as usize].hash,
            residues: pool.residues[place as usize],
            influence: 0.0,
        };
        let candidates = places.clone().map(candidate).collect();
        Scored { name: String::new(), candidates, keys: pool.keys.clone(), places: places.collect() }
    }

    /// The places in the pool of what a rule selects.
    fn draw(&self, rule: &Rule, keep: Budget, seed: u64) -> Result<Vec<u32>> {
        let selection = find(self, rule, keep, seed)?;
        let (mut places, mut all) = (Vec::new(), self.places.iter());
        selection.stream(self, &mut |_, pick| {
            let place = all.next();
            places.extend(place.filter(|_| pick.is_some()));
            Ok(())
        })?;
        Ok(places)
    }
}

/// The pool's file is FASTA, whatever the inputs are.
fn pool_input(input: &InputOptions) -> InputOptions {
    InputOptions { input_format: InputFormat::Fasta, ..input.clone() }
}

/// Where each record of the pool's file begins.
pub(super) fn positions(pool: &Pool, request: &EvaluateRequest, context: &Context) -> Result<Vec<u64>> {
    let file = [pool.file.to_string()];
    let dataset = Dataset::open(&context.storage, &file, &pool_input(&request.input))?;
    dataset.records(None).map(|record| Ok(record?.position)).collect()
}

/// All conditions of a request, coresets first; and the records of the coresets under the first seed.
///
/// # Errors
/// `Usage` where a strategy cannot be evaluated.
pub(super) fn plan(
    request: &EvaluateRequest,
    scored: &[Scored],
    given: Vec<(String, Vec<u32>)>,
    pool: &Pool,
) -> Result<(Vec<Condition>, Vec<Vec<u32>>)> {
    let mut conditions: Vec<Condition> = Vec::new();
    let sweeps = |many: bool, text: String| if many { text } else { String::new() };
    for (scoring, named) in scored.iter().enumerate() {
        for &strategy in &request.strategies {
            for &keep in &request.keep {
                let capped = strategy == Strategy::Balanced || request.cap_coresets;
                let name = format!(
                    "{}{}{}{}",
                    value_name(&strategy),
                    if capped && strategy != Strategy::Balanced { "-capped" } else { "" },
                    sweeps(scored.len() > 1, format!("/{}", named.name)),
                    sweeps(request.keep.len() > 1, format!("@{keep}")),
                );
                let kind = Kind::Coreset { scoring, strategy, keep, capped };
                conditions.push(Condition { name, kind, cap: request.cap_per_group, controls: Vec::new() });
            }
        }
    }
    conditions.extend(given.into_iter().map(|(name, records)| Condition {
        name,
        kind: Kind::Given(records),
        cap: request.cap_per_group,
        controls: Vec::new(),
    }));
    let coresets = conditions.len();
    let mut drawn = Vec::with_capacity(coresets);
    for coreset in 0..coresets {
        let records = conditions[coreset].records(&drawn, scored, pool, request.seed)?;
        let size = size(&records, pool);
        drawn.push(records);
        for &control in &request.controls {
            let (name, kind) = match control {
                Control::Everything => ("everything".to_string(), Kind::Everything),
                Control::Records => {
                    (format!("random-{}", size.records), Kind::Random(Budget::Records(size.records)))
                }
                Control::Residues => {
                    (format!("random-{}res", size.residues), Kind::Random(Budget::Residues(size.residues)))
                }
                Control::Lengths => {
                    (format!("lengths-of-{}", conditions[coreset].name), Kind::Lengths(coreset))
                }
                Control::Composition => {
                    (format!("composition-of-{}", conditions[coreset].name), Kind::Composition(coreset))
                }
                Control::Cap => (format!("random-{}-capped", size.records), Kind::Capped(size.records)),
                // of a large coreset ten times as much is more than there is: `everything` stands for it
                Control::TenTimes if 10 * size.records >= pool.records.len() as u64 => continue,
                Control::TenTimes => {
                    let records = 10 * size.records;
                    (format!("random-{records}"), Kind::Random(Budget::Records(records)))
                }
            };
            let place = conditions.iter().position(|condition| condition.kind == kind).unwrap_or_else(|| {
                conditions.push(Condition { name, kind, cap: request.cap_per_group, controls: Vec::new() });
                conditions.len() - 1
            });
            conditions[coreset].controls.push(place);
        }
    }
    Ok((conditions, drawn))
}

fn size(records: &[u32], pool: &Pool) -> Amount {
    let residues = records.iter().map(|&place| u64::from(pool.residues[place as usize])).sum();
    Amount { records: records.len() as u64, residues }
}

impl Condition {
    /// The records to train on under a seed, as places in the pool, in its order. `drawn` holds those of the conditions before
    /// this one, under the same seed.
    pub fn records(&self, drawn: &[Vec<u32>], scored: &[Scored], pool: &Pool, seed: u64) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Everything => Ok((0..pool.records.len() as u32).collect()),
            Kind::Given(records) => Ok(records.clone()),
            Kind::Random(budget) => scored[0].draw(&Rule::random(), *budget, seed),
            Kind::Capped(records) => {
                scored[0].draw(&Rule::random().capped(self.cap), Budget::Records(*records), seed)
            }
            Kind::Coreset { scoring, strategy, keep, capped } => {
                if *strategy == Strategy::RandomMatched {
                    return Err(Error::usage("random-matched is a control here: --controls lengths"));
                }
                let mut options = StrategyOptions { strategy: *strategy, ..StrategyOptions::default() };
                if *capped {
                    options.cap_per_group = Some(self.cap);
                }
                let rule = options.rule(None)?;
                scored[*scoring].draw(&rule, *keep, seed)
            }
            Kind::Lengths(of) => {
                let matched = &drawn[*of];
                let mut lengths = LengthHistogram::default();
                lengths.extend(matched.iter().map(|&place| pool.residues[place as usize]));
                scored[0].draw(&Rule::random_matched(&lengths)?, Budget::Records(matched.len() as u64), seed)
            }
            Kind::Composition(of) => {
                let hash = |place: u32| pool.records[place as usize].hash;
                Ok(composition::matched(&pool.cells, hash, &drawn[*of], seed))
            }
        }
    }
}
