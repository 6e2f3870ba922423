//! The probing job: labelled records in, what a linear model reads out of their embeddings out.
//!
//! The inputs are read through once to deal the records, and each record that has a label is embedded once: those of the
//! training split first, of which a bounded sample is fitted on, and then those of the test split, which stream through.

mod classes;
mod deal;
mod embedded;
mod pairing;
mod request;

pub use request::{OnLeak, ProbeRequest};

use super::select::{Started, put, put_json};
use super::session::Session;
use super::{Context, Counts, ObjectiveOptions};
use crate::error::{Error, Result};
use crate::influence::Objective;
use crate::probe::{
    Chosen, Codes, Examples, Labels, Metric, Outcomes, Probe, Scaling, Split, Task, choose, difference, fit,
};
use crate::report::{
    self, ClassFacts, Fit, LeftOut, Measured, Predictor, ProbeComparison, ProbeResult, SplitFacts, Tool, utc,
};
use crate::storage::Location;
use classes::Classes;
use deal::Deal;
use embedded::{Features, Passes};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::SystemTime;

const PROBE: &str = "probe.json";
const REPORT: &str = "report.html";
const METRICS: &str = "metrics.tsv";
/// The baseline that says one class whatever it sees.
const MAJORITY: &str = "majority";

/// What a probe found, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeSummary {
    /// URI of the folder that holds probe.json, metrics.tsv and report.html
    pub output: String,
    pub model: String,
    /// Records trained on
    pub train: u64,
    /// Records measured on
    pub test: u64,
    /// One sentence for each comparison
    pub findings: Vec<String>,
    pub seconds: f64,
}

/// A probe on one kind of features.
struct Fitted {
    features: Features,
    examples: Examples,
    scaling: Scaling,
    chosen: Chosen,
    probe: Probe,
    /// Of pairs: the log-odds from which on one is made
    threshold: f32,
}

/// Probes, and writes everything below the output.
pub fn probe(request: &ProbeRequest, context: &Context) -> Result<ProbeSummary> {
    let started = Started::now();
    let output: Location = request.output.parse()?;
    if request.labels.mask.is_some() && matches!(request.task, Task::Sequence | Task::Pair) {
        return Err(Error::usage(format!(
            "--mask: allowed with the tasks residue and paired, not with {}",
            request.task
        )));
    }
    for file in [PROBE, REPORT] {
        context.storage.delete(&output.join(file))?;
    }
    let labels = Labels::read(&context.storage, &request.labels)?;
    // nothing is masked
    let objective = ObjectiveOptions { objective: Objective::Reconstruction, ..ObjectiveOptions::default() };
    let session = Session::open(context, &request.inputs, &request.input, &request.model, &objective)?;
    let alphabet = session.model.tokenizer.alphabet;
    let deal = Deal::new(request, &labels, (&session.dataset, alphabet), context)?;
    let classes = Classes::of(request.task, &labels, deal.of(Split::Train))?;
    let mut passes = Passes {
        session: &session,
        labels: &labels,
        deal: &deal,
        classes: &classes,
        codes: Codes::of(&session.model.tokenizer),
        components: None,
        task: request.task,
        seed: request.seed,
        max_examples: request.max_examples as usize,
    };
    if request.task == Task::Pair {
        passes.find_components()?;
    }
    let (fitted, [train, valid], mut counts) = fitted(&passes)?;
    let (outcomes, test_counts) = measured(&passes, &fitted)?;
    counts.add(&test_counts.0);

    let test = SplitFacts { examples: test_counts.1, used: test_counts.1, ..facts(&deal, Split::Test) };
    let metrics: &[Metric] = match request.task {
        Task::Pair => &[Metric::F1],
        _ => &[Metric::Accuracy, Metric::MacroF1],
    };
    let result = ProbeResult {
        tool: Tool::this(),
        parameters: serde_json::to_value(request).unwrap_or_default(),
        model: session.model.info.name.clone(),
        model_digest: session.model.info.digest.clone(),
        task: request.task,
        split_made: deal.made,
        groups: deal.groups.as_ref().map(ToString::to_string),
        train,
        valid: Some(valid).filter(|valid| valid.records > 0),
        test,
        left_out: LeftOut {
            labels_of_unknown_ids: deal.unknown,
            records_without_label: deal.unlabelled,
            leaks: deal.leaks,
            skipped: counts.skipped.clone(),
            truncated: counts.truncated,
            of_unseen_classes: outcomes[0].of_class(classes.names.len() as u32),
        },
        classes: class_facts(request.task, &classes, &outcomes),
        predictors: predictors(&fitted, &outcomes, metrics),
        comparisons: comparisons(&outcomes, metrics),
        started: utc(started.at),
        finished: utc(SystemTime::now()),
        seconds: started.clock.elapsed().as_secs_f64(),
    };
    put(&output, METRICS, report::metrics_tsv(&result).as_bytes(), context)?;
    put(&output, REPORT, report::render_probe(&result).as_bytes(), context)?;
    put_json(&output, PROBE, &result, context)?;
    Ok(ProbeSummary {
        output: output.to_string(),
        model: result.model.clone(),
        train: result.train.records,
        test: result.test.records,
        findings: result.findings(),
        seconds: started.clock.elapsed().as_secs_f64(),
    })
}

fn facts(deal: &Deal, split: Split) -> SplitFacts {
    let groups: HashSet<u32> = deal.of(split).map(|record| record.group).collect();
    let records = deal.of(split).count() as u64;
    SplitFacts { records, groups: groups.len() as u64, examples: 0, used: 0 }
}

/// A probe for each kind of features, what they were fitted on (train and valid), and what became of these records.
fn fitted(passes: &Passes) -> Result<([Fitted; 2], [SplitFacts; 2], Counts)> {
    let threads = passes.session.threads;
    let (examples, offered, mut counts) = passes.sample(Split::Train)?;
    let mut train = facts(passes.deal, Split::Train);
    (train.examples, train.used) = (offered, examples[0].len() as u64);
    let mut valid = facts(passes.deal, Split::Valid);
    let mut valid_examples = None;
    if valid.records > 0 {
        let (examples, offered, of_valid) = passes.sample(Split::Valid)?;
        (valid.examples, valid.used) = (offered, examples[0].len() as u64);
        counts.add(&of_valid);
        valid_examples = Some(examples);
    }
    let mut of_valid =
        valid_examples.map(|[one, other]| [Some(one), Some(other)]).unwrap_or_default().into_iter();
    let classes = passes.classes.names.len();
    let mut each = Features::ALL.into_iter().zip(examples).map(|(features, mut examples)| {
        let scaling = examples.standardize();
        let mut valid = of_valid.next().flatten();
        valid.iter_mut().for_each(|valid| valid.rescale(&scaling));
        let chosen = choose(&examples, valid.as_ref(), classes, threads);
        log::info!("{}: penalty {} of {:?}", features.name(), chosen.penalty, chosen.losses);
        let rows: Vec<u32> = (0..examples.len() as u32).collect();
        let probe = fit(&examples, &scaling, &rows, (classes, chosen.penalty), threads);
        Fitted { features, examples, scaling, chosen, probe, threshold: 0.0 }
    });
    let (Some(mut one), Some(mut other)) = (each.next(), each.next()) else {
        return Err(Error::internal("a kind of features was not fitted"));
    };
    passes.session.context.cancel.check()?;
    if passes.task == Task::Pair {
        let train = [&one, &other].map(|fitted| (&fitted.examples, &fitted.scaling, &fitted.chosen));
        [one.threshold, other.threshold] =
            pairing::thresholds(passes, train, [&one.probe, &other.probe], threads)?;
    }
    Ok(([one, other], [train, valid], counts))
}

/// What each predictor says of the test records: the probes in their order, and then the majority. Also what became of
/// the records, and the number of examples.
fn measured(passes: &Passes, fitted: &[Fitted; 2]) -> Result<([Outcomes; 3], (Counts, u64))> {
    let mut outcomes: [Outcomes; 3] = Default::default();
    let commonest = passes.classes.commonest();
    let (mut vector, mut logits, mut examples) = (Vec::new(), Vec::new(), 0);
    let counts = passes.each(
        |dealt| dealt.split == Split::Test,
        |record| {
            let group = record.dealt.group;
            if passes.task == Task::Pair {
                for (fitted, outcomes) in fitted.iter().zip(&mut outcomes) {
                    pairing::count(&record, fitted.features, (&fitted.probe, fitted.threshold), outcomes);
                }
                outcomes[2].add(group, 1, 0, record.pairs());
                examples += record.pairs();
                return Ok(());
            }
            for (site, truth) in record.sites(passes.classes) {
                examples += 1;
                for (fitted, outcomes) in fitted.iter().zip(&mut outcomes) {
                    record.vector(fitted.features, site, &mut vector);
                    outcomes.add(group, truth, fitted.probe.class(&vector, &mut logits), 1);
                }
                outcomes[2].add(group, truth, commonest, 1);
            }
            Ok(())
        },
    )?;
    if examples == 0 {
        return Err(Error::bad_input(format!(
            "labels: no test record of {} has anything to measure on",
            passes.labels.source.uri
        )));
    }
    Ok((outcomes, (counts, examples)))
}

fn class_facts(task: Task, classes: &Classes, outcomes: &[Outcomes; 3]) -> Vec<ClassFacts> {
    let facts = |(class, (name, train)): (u32, (&String, &u64))| ClassFacts {
        name: name.clone(),
        train: *train,
        test: outcomes[0].of_class(class),
        embedding: outcomes[0].class(class),
        one_hot: outcomes[1].class(class),
    };
    // pairs that are none are not counted
    let first = usize::from(task == Task::Pair);
    (0..).zip(classes.names.iter().zip(&classes.training)).skip(first).map(facts).collect()
}

fn predictors(fitted: &[Fitted; 2], outcomes: &[Outcomes; 3], metrics: &[Metric]) -> Vec<Predictor> {
    let measure = |outcomes: &Outcomes| {
        metrics.iter().map(|&metric| Measured { metric, interval: outcomes.measure(metric) }).collect()
    };
    let of_probe = |(fitted, outcomes): (&Fitted, &Outcomes)| Predictor {
        name: fitted.features.name().to_string(),
        metrics: measure(outcomes),
        fit: Some(Fit {
            features: fitted.examples.columns() as u64,
            penalty: fitted.chosen.penalty,
            losses: fitted.chosen.losses.clone(),
            threshold: Some(fitted.threshold).filter(|at| metrics == [Metric::F1] && at.is_finite()),
        }),
    };
    let mut predictors: Vec<Predictor> = fitted.iter().zip(outcomes).map(of_probe).collect();
    predictors.push(Predictor { name: MAJORITY.to_string(), metrics: measure(&outcomes[2]), fit: None });
    predictors
}

fn comparisons(outcomes: &[Outcomes; 3], metrics: &[Metric]) -> Vec<ProbeComparison> {
    let controls = [(Features::OneHot.name(), &outcomes[1]), (MAJORITY, &outcomes[2])];
    let pairs = controls.iter().flat_map(|control| metrics.iter().map(move |metric| (control, *metric)));
    pairs
        .map(|((name, control), metric)| ProbeComparison {
            condition: Features::Embedding.name().to_string(),
            control: (*name).to_string(),
            difference: difference(&outcomes[0], control, metric),
        })
        .collect()
}
