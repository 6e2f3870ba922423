//! The evaluation job: coresets and controls in, trainings of the same model on each, and what may be said of them out.

mod composition;
mod conditions;
mod pool;
mod request;
mod runs;
mod start;

pub use request::{Control, EvaluateRequest, HeldOutOptions, Protocol, TrainerOptions};

use super::select::{Started, put, put_json};
use super::{Context, session};
use crate::error::Result;
use crate::evaluation::{Average, Comparison, GroupLosses, compare, compare_by_length};
use crate::report::{self, ConditionResult, Evaluation, HeldOutSet, Pair, Tool, TrainingResult, utc};
use crate::sequence::Dataset;
use crate::storage::Location;
use crate::train::{EncodedRecord, TrainingDevice, baselines};
use conditions::{Condition, Scored, Scoring, plan, positions};
use pool::Pool;
use runs::{Planned, Runs, Trained};
use serde::{Deserialize, Serialize};
use start::Start;
use std::collections::HashSet;
use std::fmt;
use std::time::SystemTime;

const POOL: &str = "pool.fa.gz";
const EVALUATION: &str = "evaluation.json";
const REPORT: &str = "report.html";
const LOSSES: &str = "losses.tsv";
const COMPARISONS: &str = "comparisons.tsv";

/// How far an evaluation is. Its `Display` is the line that a person follows.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationProgress {
    pub condition: String,
    pub seed: u64,
    /// Held-out loss in nats, mean over new groups
    pub loss: f64,
    /// Whether an earlier evaluation had done it
    pub earlier: bool,
    pub done: usize,
    pub all: usize,
    /// Seconds that the rest will take, where that can be told
    pub left: Option<f64>,
}

/// What an evaluation found, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluateSummary {
    /// URI of the folder that holds evaluation.json, losses.tsv, comparisons.tsv and report.html
    pub output: String,
    pub trainings: u64,
    /// Trainings whose results an earlier evaluation had left
    pub earlier: u64,
    /// One sentence for each comparison, by the mean over new groups
    pub verdicts: Vec<String>,
    pub seconds: f64,
}

/// Evaluates, and writes everything below the output; `follow` is told of each training that is done.
pub fn evaluate(
    request: &EvaluateRequest,
    context: &Context,
    follow: &mut dyn FnMut(&EvaluationProgress),
) -> Result<EvaluateSummary> {
    let started = Started::now();
    let request = &request.settled();
    let output: Location = request.output.parse()?;
    request.held_out.shares()?;
    request.trainer.options(request.seed)?;
    let threads = session::threads(request.model.threads);
    let (device, told) = TrainingDevice::settle(request.train_device, threads)?;
    log::info!("training {told}");
    for file in [EVALUATION, REPORT] {
        context.storage.delete(&output.join(file))?;
    }
    let inputs = Dataset::open(&context.storage, &request.inputs, &request.input)?;
    let start = Start::open(&request.trainer, &inputs, context)?;
    let location = output.join(POOL);
    let pool = Pool::read(
        &request.inputs,
        &request.input,
        (&request.held_out, request.seed),
        (&start.tokenizer, start.max_tokens),
        &location,
        context,
    )?;

    let mut left_out = Vec::new();
    let given = request.selection.iter().map(|coreset| {
        let (places, held_out) = pool.places(coreset, &request.input, context)?;
        left_out.push((coreset.clone(), held_out));
        Ok((coreset.trim_end_matches('/').to_string(), places))
    });
    let given = given.collect::<Result<Vec<_>>>()?;
    let scored = if request.keep.is_empty() {
        vec![Scored::unscored(&pool)]
    } else {
        let positions = positions(&pool, request, context)?;
        let score = |scoring: &Scoring| scoring.score(request, (&pool, &positions), &output, context);
        Scoring::all(request).iter().map(score).collect::<Result<Vec<_>>>()?
    };
    let (conditions, mut coresets) = plan(request, &scored, given, &pool)?;
    let seeds: Vec<u64> = (0..u64::from(request.seeds)).map(|i| request.seed + i).collect();
    let mut planned = Vec::new();
    // seed by seed: what is there when it is stopped can be compared
    for &seed in &seeds {
        // the coresets of the first seed are there already
        let mut drawn = std::mem::take(&mut coresets);
        for condition in &conditions[drawn.len()..] {
            let records = condition.records(&drawn, &scored, &pool, seed)?;
            drawn.push(records);
        }
        let of_seed = conditions.iter().zip(drawn).enumerate();
        planned.extend(of_seed.map(|(place, (condition, records))| Planned {
            condition: place,
            name: condition.name.clone(),
            seed,
            records,
        }));
    }
    let trainer = &request.trainer;
    let runs = Runs { pool: &pool, trainer, start: &start, output: &output, device: &device, context };
    let mut earlier = 0;
    let (mut new, mut seconds) = (0, Started::now().clock);
    let trained = runs.all(&planned, |planned_as, one, was_there, done| {
        earlier += u64::from(was_there);
        if was_there {
            seconds = Started::now().clock;
        } else {
            new += 1;
        }
        let each = seconds.elapsed().as_secs_f64() / f64::from(new.max(1));
        follow(&EvaluationProgress {
            condition: planned_as.name.clone(),
            seed: one.seed,
            loss: one.new_groups.mean(Average::Group),
            earlier: was_there,
            done,
            all: planned.len(),
            left: (new > 0).then_some(each * (planned.len() - done) as f64),
        });
    })?;

    let mut by_condition: Vec<Vec<Trained>> = conditions.iter().map(|_| Vec::new()).collect();
    for (one, planned) in trained.into_iter().zip(&planned) {
        by_condition[planned.condition].push(one);
    }
    let pairs = pairs(&conditions, &by_condition)?;
    let held_out = |records: &[EncodedRecord]| -> Result<HeldOutSet> {
        let groups: HashSet<u32> = records.iter().map(|record| record.group).collect();
        let any = !records.is_empty();
        Ok(HeldOutSet {
            records: records.len() as u64,
            groups: groups.len() as u64,
            baselines: any.then(|| baselines(&start.tokenizer, &pool.records, records)),
            start: if any { start.loss(records, &device)? } else { None },
        })
    };
    let evaluation = Evaluation {
        tool: Tool::this(),
        parameters: serde_json::to_value(request).unwrap_or_default(),
        pool: pool.records.len() as u64,
        pool_residues: pool.residues.iter().map(|&length| u64::from(length)).sum(),
        new_groups: held_out(&pool.new_groups)?,
        seen_groups: held_out(&pool.seen_groups)?,
        leaks: pool.leaks,
        left_out,
        conditions: conditions
            .iter()
            .zip(&by_condition)
            .map(|(condition, trained)| result(condition, trained))
            .collect(),
        comparisons: pairs,
        started: utc(started.at),
        finished: utc(SystemTime::now()),
        seconds: started.clock.elapsed().as_secs_f64(),
    };
    evaluation.caution().iter().for_each(|caution| log::warn!("{caution}"));
    put(&output, LOSSES, report::losses_tsv(&evaluation).as_bytes(), context)?;
    put(&output, COMPARISONS, report::comparisons_tsv(&evaluation).as_bytes(), context)?;
    put(&output, REPORT, report::render_evaluation(&evaluation).as_bytes(), context)?;
    put_json(&output, EVALUATION, &evaluation, context)?;
    Ok(EvaluateSummary {
        output: output.to_string(),
        trainings: planned.len() as u64,
        earlier,
        verdicts: evaluation.verdicts(),
        seconds: started.clock.elapsed().as_secs_f64(),
    })
}

/// Every coreset against each of its controls.
fn pairs(conditions: &[Condition], trained: &[Vec<Trained>]) -> Result<Vec<Pair>> {
    type Losses = fn(&Trained) -> &GroupLosses;
    let mut pairs = Vec::new();
    for (place, condition) in conditions.iter().enumerate() {
        for &control in &condition.controls {
            let compared = |of: Losses| -> Result<Vec<Comparison>> {
                let losses = |place: usize| trained[place].iter().map(of).collect::<Vec<_>>();
                if of(&trained[place][0]).groups() == 0 {
                    return Ok(Vec::new());
                }
                Average::ALL
                    .iter()
                    .map(|&average| compare(&losses(place), &losses(control), average))
                    .collect()
            };
            let new_groups =
                |place: usize| trained[place].iter().map(|one| &one.new_groups).collect::<Vec<_>>();
            pairs.push(Pair {
                condition: condition.name.clone(),
                control: conditions[control].name.clone(),
                new_groups: compared(|one| &one.new_groups)?,
                new_groups_by_length: compare_by_length(&new_groups(place), &new_groups(control))?,
                seen_groups: compared(|one| &one.seen_groups)?,
            });
        }
    }
    Ok(pairs)
}

fn result(condition: &Condition, trained: &[Trained]) -> ConditionResult {
    let training = |one: &Trained| TrainingResult {
        seed: one.seed,
        records: one.records,
        residues: one.residues,
        tokens: one.tokens,
        seconds: one.seconds,
        new_groups: one.new_groups.means(),
        seen_groups: one.seen_groups.means(),
        curve: one.curve.clone(),
    };
    ConditionResult { name: condition.name.clone(), trainings: trained.iter().map(training).collect() }
}

impl fmt::Display for EvaluationProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "training {}/{}: {}, seed {}", self.done, self.all, self.condition, self.seed)?;
        write!(f, ": held-out loss {:.4}", self.loss)?;
        if self.earlier {
            return f.write_str(", by an earlier run");
        }
        match self.left.filter(|_| self.done < self.all) {
            Some(left) => write!(f, ", {} left", report::quantity::span(left)),
            None => Ok(()),
        }
    }
}
