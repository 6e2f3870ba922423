//! An evaluation for a person: the verdicts first, then the differences and the learning curves.

use super::axis;
use super::evaluation::{Evaluation, HeldOutSet, Pair};
use super::forest::{Forest, Row};
use super::page::{document, section};
use super::quantity::{counted, grouped, span};
use super::tables::{self, Escaped};
use crate::evaluation::{LengthClass, Verdict};
use crate::train::HeldOutLoss;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
const LEFT: f64 = 58.0;
const HEIGHT: f64 = 300.0;

/// The page as one HTML document that loads nothing and runs nothing.
pub fn render_evaluation(evaluation: &Evaluation) -> String {
    let seeds = evaluation.conditions.iter().map(|condition| condition.trainings.len()).max().unwrap_or(0);
    let start = match evaluation.new_groups.start {
        Some(_) => "that go on from one model",
        None => "of the same model from scratch",
    };
    let subtitle = format!(
        "{} {start}, {} of each of {}, measured on {} that no training has seen",
        counted(
            evaluation.conditions.iter().map(|condition| condition.trainings.len() as u64).sum(),
            "training"
        ),
        grouped(seeds as u64),
        counted(evaluation.conditions.len() as u64, "condition"),
        counted(evaluation.new_groups.groups, "group"),
    );
    let verdicts: String =
        evaluation.verdicts().iter().map(|verdict| format!("<li>{}</li>", Escaped(verdict))).collect();
    let mut page = String::new();
    if let Some(caution) = evaluation.caution() {
        let text = caution.replacen("the", "The", 1);
        page.push_str(&format!(
            "<section class=\"findings\"><h2>Look at this first</h2><p>{}.</p></section>\n",
            Escaped(&text)
        ));
    }
    let verdicts = format!("<ul>{verdicts}</ul><p>{}</p>", Escaped(&explanation(evaluation)));
    section(&mut page, "Verdicts", &verdicts);
    section(&mut page, "Differences", &differences(&evaluation.comparisons));
    section(&mut page, "Differences by length", &by_length(&evaluation.comparisons));
    section(&mut page, "Learning curves", &curves(evaluation));
    section(&mut page, "Losses", &losses(evaluation));
    section(&mut page, "What was asked", &tables::parameters(&evaluation.parameters));
    let footer = format!(
        "{} {} · {} to {} · {} · every fact of this page is in evaluation.json",
        evaluation.tool.name,
        evaluation.tool.version,
        evaluation.started,
        evaluation.finished,
        span(evaluation.seconds)
    );
    document("Does the coreset help?", &subtitle, &page, &footer)
}

fn explanation(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "A difference is the condition's held-out loss less the control's, in nats, averaged over groups and seeds: below \
         zero the condition is better. A verdict other than “no difference seen” takes two 95 % intervals that both leave \
         zero out: a bootstrap over groups and seeds, and Student's t over the seeds. {} were made, and each may be \
         wrong: of twenty true nothings about one is taken for something.",
        counted(evaluation.comparisons.len() as u64, "comparison")
    );
    if evaluation.leaks > 0 {
        let _ = write!(
            text,
            " {} with a sequence that the pool has too were dropped.",
            counted(evaluation.leaks, "held-out record")
        );
    }
    for (coreset, records) in evaluation.left_out.iter().filter(|(_, records)| *records > 0) {
        let _ = write!(
            text,
            " {} of {coreset} are held out, and were left out of it.",
            counted(*records, "record")
        );
    }
    text
}

/// Each pair's difference with its bootstrap interval.
fn differences(pairs: &[Pair]) -> String {
    let rows = pairs.iter().filter_map(|pair| {
        let found = pair.main()?;
        let class = match found.verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::NoDifferenceSeen | Verdict::TooFewSeeds => "level",
        };
        let name = format!("{} − {}", pair.condition, pair.control);
        Some(Row { name, class, value: found.difference, low: found.low, high: found.high })
    });
    Forest {
        title: "Differences in held-out loss",
        axis: "difference in held-out loss (nats; left of zero is better)",
        caption: "Mean over groups that no training has seen, with 95 % intervals of the bootstrap.",
        // an axis of no width would have no marks
        span: (-1e-6, 1e-6),
        rows: rows.collect(),
    }
    .render()
}

/// Each pair's difference on the quarters of the groups by length; nothing where none has any.
fn by_length(pairs: &[Pair]) -> String {
    let Some(classes) =
        pairs.iter().map(|pair| &pair.new_groups_by_length).find(|classes| !classes.is_empty())
    else {
        return String::new();
    };
    let spans = classes.iter().map(|class| format!("{} to {}", class.shortest, class.longest));
    let head: Vec<String> = std::iter::once("tokens of a record".to_string()).chain(spans).collect();
    let row = |pair: &Pair| {
        let cell = |class: &LengthClass| {
            let verdict = match class.comparison.verdict {
                Verdict::Better => " better",
                Verdict::Worse => " worse",
                Verdict::NoDifferenceSeen | Verdict::TooFewSeeds => "",
            };
            format!("{:+.4}{verdict}", class.comparison.difference)
        };
        let name = format!("{} − {}", pair.condition, pair.control);
        std::iter::once(name).chain(pair.new_groups_by_length.iter().map(cell)).collect::<Vec<String>>()
    };
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let table = tables::numbers(&head, pairs.iter().map(row));
    format!(
        "{table}<p>The same differences on each quarter of the groups by the mean length of their records, with a verdict \
         where there is one. A coreset of short records often makes models better on short ones alone: what counts is the lengths that \
         the model is for.</p>"
    )
}

/// The mean curve of each condition.
fn curves(evaluation: &Evaluation) -> String {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = evaluation
        .conditions
        .iter()
        .map(|condition| {
            let points = condition.trainings.iter().map(|one| one.curve.len()).min().unwrap_or(0);
            let mean = |i: usize, of: &dyn Fn(&(u64, f64)) -> f64| {
                let sum: f64 = condition.trainings.iter().map(|one| of(&one.curve[i])).sum();
                sum / condition.trainings.len() as f64
            };
            let at = |i| (mean(i, &|point| point.0 as f64), mean(i, &|point| point.1));
            (&condition.name[..], (0..points).map(at).collect())
        })
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let last = all().map(|point| point.0).fold(0.0, f64::max);
    let (low, high) =
        all().fold((f64::MAX, f64::MIN), |(low, high), point| (low.min(point.1), high.max(point.1)));
    if last == 0.0 || low >= high {
        return String::new();
    }
    let base = HEIGHT - BOTTOM;
    let x = |tokens: f64| LEFT + tokens / last * (WIDTH - LEFT - RIGHT);
    let y = |loss: f64| base - (loss - low) / (high - low) * (base - TOP);
    let mut svg =
        format!("<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>Learning curves</title>");
    for (at, text) in axis::ticks(low, high, 5.0) {
        let y = y(at);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"end\" x=\"{}\" y=\"{:.1}\">{text}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for (at, text) in axis::ticks(0.0, last, 6.0) {
        let _ = write!(svg, "<text class=\"mid\" x=\"{:.1}\" y=\"{}\">{text}</text>", x(at), base + 18.0);
    }
    for (number, (name, points)) in curves.iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|(at, loss)| format!("{:.1},{:.1}", x(*at), y(*loss))).collect();
        // hues as far apart as the number of conditions lets them be
        let hue = 360 * number / curves.len();
        let _ = write!(
            svg,
            "<polyline class=\"curve\" style=\"stroke:hsl({hue} 65% 45%)\" points=\"{}\"><title>{}</title></polyline>",
            path.join(" "),
            Escaped(name)
        );
    }
    let legend: String = curves
        .iter()
        .enumerate()
        .map(|(number, (name, points))| {
            let end = points.last().map_or(f64::NAN, |point| point.1);
            format!(
                "<span class=\"key\"><i style=\"background:hsl({} 65% 45%)\"></i>{} ({end:.4})</span> ",
                360 * number / curves.len(),
                Escaped(name)
            )
        })
        .collect();
    let _ = write!(
        svg,
        "<text class=\"mid name\" x=\"{:.1}\" y=\"{}\">tokens trained on</text></svg><figcaption>{legend}<br>Held-out loss \
         (nats, mean over new groups) of some of the records, mean over the seeds.</figcaption></figure>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        base + 38.0
    );
    svg
}

/// Every condition's mean losses, and those of the baselines.
fn losses(evaluation: &Evaluation) -> String {
    let cell = |loss: Option<f64>| loss.map_or_else(|| "–".to_string(), |loss| format!("{loss:.4}"));
    let mut rows: Vec<Vec<String>> = evaluation
        .conditions
        .iter()
        .map(|condition| {
            let first = condition.trainings.first();
            vec![
                condition.name.clone(),
                first.map(|one| grouped(one.records)).unwrap_or_default(),
                first.map(|one| grouped(one.residues)).unwrap_or_default(),
                cell(condition.mean(|one| Some(one.new_groups?.by_group))),
                cell(condition.mean(|one| Some(one.new_groups?.by_record))),
                cell(condition.mean(|one| Some(one.seen_groups?.by_group))),
                cell(condition.mean(|one| Some(one.seen_groups?.by_record))),
            ]
        })
        .collect();
    let (new, seen) = (&evaluation.new_groups, &evaluation.seen_groups);
    let pool = [grouped(evaluation.pool), grouped(evaluation.pool_residues)];
    let mut known =
        |name: &str, [records, residues]: [String; 2], of: fn(&HeldOutSet) -> Option<HeldOutLoss>| {
            rows.push(vec![
                name.to_string(),
                records,
                residues,
                cell(of(new).map(|loss| loss.by_group)),
                cell(of(new).map(|loss| loss.by_record)),
                cell(of(seen).map(|loss| loss.by_group)),
                cell(of(seen).map(|loss| loss.by_record)),
            ]);
        };
    known("unigram of the pool", pool.clone(), |set| Some(set.baselines?.unigram));
    known("trigram of the pool", pool, |set| Some(set.baselines?.trigram));
    if new.start.is_some() {
        known("none: that model, untrained", [String::new(), String::new()], |set| set.start);
    }
    let head =
        ["trained on", "records", "residues", "new, by group", "by record", "seen, by group", "by record"];
    tables::numbers(&head, rows)
}
