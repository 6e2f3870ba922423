//! A probe for a person: the findings first, then how good each predictor is, and how well each class is told.

use super::forest::{Forest, Row};
use super::page::{document, section};
use super::probe::{ProbeResult, SplitFacts};
use super::quantity::{counted, grouped, span};
use super::tables::{self, Escaped};
use crate::probe::{Interval, Metric, PerClass, Task};

/// The page as one HTML document that loads nothing and runs nothing.
pub fn render_probe(result: &ProbeResult) -> String {
    let subtitle = format!(
        "{} of {}, told from the frozen embeddings of {} by logistic regression, measured on {}",
        task_name(result.task),
        counted(result.train.records, "training record"),
        result.model,
        counted(result.test.records, "test record")
    );
    let findings: String =
        result.findings().iter().map(|finding| format!("<li>{}</li>", Escaped(finding))).collect();
    let metrics: Vec<Metric> = match result.predictors.first() {
        Some(predictor) => predictor.metrics.iter().map(|one| one.metric).collect(),
        None => Vec::new(),
    };
    let figures: String = metrics.into_iter().map(|metric| predictors(result, metric)).collect();
    let mut page = String::new();
    let findings = format!("<ul>{findings}</ul><p>{}</p>", Escaped(&explanation(result)));
    section(&mut page, "Findings", &findings);
    section(&mut page, "How good", &figures);
    section(&mut page, "Classes", &classes(result));
    section(&mut page, "Fits", &fits(result));
    section(&mut page, "Records", &records(result));
    section(&mut page, "What was asked", &tables::parameters(&result.parameters));
    let footer = format!(
        "{} {} · {} to {} · {} · every fact of this page is in probe.json",
        result.tool.name,
        result.tool.version,
        result.started,
        result.finished,
        span(result.seconds)
    );
    document("What do the embeddings tell?", &subtitle, &page, &footer)
}

fn task_name(task: Task) -> &'static str {
    match task {
        Task::Sequence => "Classes of sequences",
        Task::Residue => "Classes of residues",
        Task::Paired => "Paired and unpaired bases",
        Task::Pair => "Pairs of bases",
    }
}

fn explanation(result: &ProbeResult) -> String {
    let baseline = match result.task {
        Task::Sequence => "the shares of the residues in the sequence",
        Task::Residue | Task::Paired => "the residue and seven on either side of it",
        Task::Pair => "the two bases, those next to them and their distance",
    };
    let commonest = match result.task {
        Task::Pair => "The baseline majority makes no pair.",
        _ => "The baseline majority says the commonest class of the training labels.",
    };
    let groups = match (&result.groups, result.split_made) {
        (Some(groups), true) => format!("Whole groups ({groups}) were held out to test on."),
        (Some(groups), false) => {
            format!("The splits are the table's, and intervals are over groups ({groups}).")
        }
        (None, _) => {
            "The splits are the table's, and each record is a group of its own: near-duplicates in the test \
                      records make the intervals too narrow."
                .to_string()
        }
    };
    format!(
        "The baseline one-hot is the same regression on {baseline}: what the embeddings tell beyond it, the model has learned. \
         {commonest} Intervals are 95 % intervals of a bootstrap over the groups of the test records; a finding other than \
         “no difference seen” takes one that leaves zero out. {groups}"
    )
}

/// Each predictor's value with its interval.
fn predictors(result: &ProbeResult, metric: Metric) -> String {
    let rows = result.predictors.iter().filter_map(|predictor| {
        let Interval { value, low, high } =
            predictor.metrics.iter().find(|one| one.metric == metric)?.interval;
        let class = if predictor.name == "embedding" { "better" } else { "level" };
        Some(Row { name: format!("{} {value:.3}", predictor.name), class, value, low, high })
    });
    Forest {
        title: &format!("{} of each predictor", metric.name()),
        axis: &format!("{} on the test records", metric.name()),
        caption: "",
        span: (0.0, 1.0),
        rows: rows.collect(),
    }
    .render()
}

fn classes(result: &ProbeResult) -> String {
    let told = |told: &Option<PerClass>| match told {
        Some(told) => [told.precision, told.recall, told.f1].map(|value| format!("{value:.3}")),
        None => ["–", "–", "–"].map(str::to_string),
    };
    let rows = result.classes.iter().map(|class| {
        let mut row = vec![class.name.clone(), grouped(class.train), grouped(class.test)];
        row.extend(told(&class.embedding));
        row.extend(told(&class.one_hot));
        row
    });
    let head = ["class", "train", "test", "precision", "recall", "F1", "one-hot precision", "recall", "F1"];
    tables::numbers(&head, rows)
}

fn fits(result: &ProbeResult) -> String {
    let rows = result.predictors.iter().filter_map(|predictor| {
        let fit = predictor.fit.as_ref()?;
        let losses: Vec<String> =
            fit.losses.iter().map(|(penalty, loss)| format!("{penalty}: {loss:.4}")).collect();
        Some(vec![
            predictor.name.clone(),
            grouped(fit.features),
            fit.penalty.to_string(),
            losses.join(", "),
            fit.threshold.map_or_else(|| "–".to_string(), |threshold| format!("{threshold:.2}")),
        ])
    });
    let head = ["probe", "numbers in a vector", "penalty", "held-out loss by penalty", "log-odds of a pair"];
    tables::numbers(&head, rows)
}

fn records(result: &ProbeResult) -> String {
    let row = |name: &str, split: &SplitFacts| {
        vec![
            name.to_string(),
            grouped(split.records),
            grouped(split.groups),
            grouped(split.examples),
            grouped(split.used),
        ]
    };
    let mut rows = vec![row("train", &result.train)];
    rows.extend(result.valid.iter().map(|valid| row("valid", valid)));
    rows.push(row("test", &result.test));
    let left_out = &result.left_out;
    let skipped = left_out.skipped.iter().map(|(reason, records)| format!("{} {reason}", grouped(*records)));
    let skipped: Vec<String> = skipped.collect();
    let facts = [
        ("labels of ids that no record has", grouped(left_out.labels_of_unknown_ids)),
        ("records without a label", grouped(left_out.records_without_label)),
        ("records dropped: a later split has their sequence or group", grouped(left_out.leaks)),
        (
            "records that the model cannot read",
            if skipped.is_empty() { "0".to_string() } else { skipped.join(", ") },
        ),
        ("records of which the model sees the beginning alone", grouped(left_out.truncated)),
        ("test examples of classes that no training label names", grouped(left_out.of_unseen_classes)),
    ];
    tables::numbers(&["split", "records", "groups", "examples", "used"], rows) + &tables::pairs(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Outcomes, difference};
    use crate::report::Tool;
    use crate::report::probe::{ClassFacts, Fit, LeftOut, Measured, Predictor, ProbeComparison, metrics_tsv};

    fn result() -> ProbeResult {
        let outcomes = |right: u64| {
            let mut outcomes = Outcomes::default();
            for group in 0..20 {
                outcomes.add(group, 0, 0, right);
                outcomes.add(group, 1, 0, 4 - right);
            }
            outcomes
        };
        let (ours, control) = (outcomes(3), outcomes(1));
        let split = SplitFacts { records: 20, groups: 20, examples: 80, used: 80 };
        let predictor = |name: &str, outcomes: &Outcomes| Predictor {
            name: name.to_string(),
            metrics: vec![Measured {
                metric: Metric::Accuracy,
                interval: outcomes.measure(Metric::Accuracy),
            }],
            fit: Some(Fit {
                features: 64,
                penalty: 0.01,
                losses: vec![(0.1, 0.7), (0.01, 0.6)],
                threshold: None,
            }),
        };
        ProbeResult {
            tool: Tool::this(),
            parameters: serde_json::json!({"labels": "<labels>.tsv"}),
            model: "rna-nano".to_string(),
            model_digest: String::new(),
            task: Task::Residue,
            split_made: true,
            groups: Some("near".to_string()),
            train: split,
            valid: None,
            test: split,
            left_out: LeftOut { leaks: 3, ..LeftOut::default() },
            classes: vec![ClassFacts {
                name: "<H>".to_string(),
                train: 40,
                test: 40,
                embedding: ours.class(0),
                one_hot: None,
            }],
            predictors: vec![predictor("embedding", &ours), predictor("one-hot", &control)],
            comparisons: vec![ProbeComparison {
                condition: "embedding".to_string(),
                control: "one-hot".to_string(),
                difference: difference(&ours, &control, Metric::Accuracy),
            }],
            started: String::new(),
            finished: String::new(),
            seconds: 3.0,
        }
    }

    #[test]
    fn the_page_and_the_table_tell_the_findings_and_take_names_for_text() {
        let page = render_probe(&result());
        for part in [
            "embedding against one-hot: better by 0.5000 accuracy",
            "&lt;H&gt;",
            "Whole groups (near) were held out",
            "embedding 0.750",
            "0.01: 0.6000",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(!page.contains("<H>") && !page.contains("<labels>") && !page.contains("<script"));
        let tsv = metrics_tsv(&result());
        assert_eq!(tsv.lines().count(), 4, "{tsv}");
        assert!(tsv.contains("embedding\tone-hot\taccuracy\t0.500000"), "{tsv}");
    }
}
