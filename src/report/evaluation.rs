//! What an evaluation leaves: `evaluation.json` with every loss, two tables for other programs, and its verdicts.

use super::Tool;
use crate::evaluation::{Average, Comparison, LengthClass, Verdict};
use crate::train::{Baselines, HeldOutLoss};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write;

/// All that an evaluation found. Losses are in nats a masked residue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub tool: Tool,
    /// What was asked for
    pub parameters: Value,
    /// Records that coresets and controls are taken from
    pub pool: u64,
    pub pool_residues: u64,
    /// Held out with their whole groups
    pub new_groups: HeldOutSet,
    /// Held out of groups that trainings may see
    pub seen_groups: HeldOutSet,
    /// Held-out records that were dropped, because the pool has the same sequence
    pub leaks: u64,
    /// Of each coreset that was given, how many of its records are held out, and so are not trained on
    pub left_out: Vec<(String, u64)>,
    pub conditions: Vec<ConditionResult>,
    /// Each coreset against each of its controls
    pub comparisons: Vec<Pair>,
    pub started: String,
    pub finished: String,
    pub seconds: f64,
}

/// Records that the models are measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOutSet {
    pub records: u64,
    pub groups: u64,
    /// Losses of frequencies that are fitted on the whole pool; absent without records
    pub baselines: Option<Baselines>,
    /// Losses of the model that every training goes on from, before its first step; absent where they begin at random weights
    pub start: Option<HeldOutLoss>,
}

/// The trainings of one condition, one for each seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionResult {
    pub name: String,
    pub trainings: Vec<TrainingResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingResult {
    pub seed: u64,
    /// Records trained on
    pub records: u64,
    pub residues: u64,
    /// Tokens computed in all steps
    pub tokens: u64,
    pub seconds: f64,
    pub new_groups: Option<HeldOutLoss>,
    pub seen_groups: Option<HeldOutLoss>,
    /// Loss on some records of new groups, mean over groups, after so many tokens
    pub curve: Vec<(u64, f64)>,
}

/// A coreset against a control, by the three averages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub condition: String,
    pub control: String,
    pub new_groups: Vec<Comparison>,
    /// The mean over new groups on each quarter of them by length; empty where they are few or of one length
    pub new_groups_by_length: Vec<LengthClass>,
    pub seen_groups: Vec<Comparison>,
}

impl Pair {
    /// The comparison that a verdict is about.
    pub(super) fn main(&self) -> Option<&Comparison> {
        self.new_groups.iter().find(|comparison| comparison.average == Average::Group)
    }

    /// What the lengths say beside the verdict: for which it is another, if better for some and worse for others.
    fn by_length(&self) -> Option<String> {
        let of = |verdict: Verdict| {
            let with = |class: &&LengthClass| class.comparison.verdict == verdict;
            let spans = self.new_groups_by_length.iter().filter(with);
            spans.map(|class| format!("{} to {}", class.shortest, class.longest)).collect::<Vec<_>>()
        };
        let (better, worse) = (of(Verdict::Better), of(Verdict::Worse));
        (!better.is_empty() && !worse.is_empty()).then(|| {
            let (better, worse) = (better.join(", "), worse.join(", "));
            format!("better on groups of {better} tokens, worse on those of {worse}")
        })
    }
}

impl Evaluation {
    /// One sentence for each pair, by the mean over new groups.
    pub fn verdicts(&self) -> Vec<String> {
        let sentence = |pair: &Pair| {
            let found = pair.main()?;
            let lengths = pair.by_length().map(|text| format!("; {text}")).unwrap_or_default();
            Some(format!("{} against {}: {found}{lengths}", pair.condition, pair.control))
        };
        self.comparisons.iter().filter_map(sentence).collect()
    }
}

/// A model that is not this much better than what was known before, in nats, has learned next to nothing.
const LEARNED: f64 = 0.005;

impl Evaluation {
    /// Why the verdicts say little, where they do: no condition's models learned more than residue frequencies, or than the
    /// model that they go on from.
    pub fn caution(&self) -> Option<String> {
        let unigram = self.new_groups.baselines?.unigram.by_group;
        let (known, by) = match self.new_groups.start {
            Some(start) if start.by_group < unigram => (start.by_group, "the model that they go on from has"),
            _ => (unigram, "residue frequencies alone have"),
        };
        let losses = self
            .conditions
            .iter()
            .filter_map(|condition| condition.mean(|one| Some(one.new_groups?.by_group)));
        let best = losses.min_by(f64::total_cmp)?;
        (best > known - LEARNED).then(|| {
            format!(
                "the trained models have learned next to nothing: the best condition's held-out loss is {best:.4} nats, and \
                 {by} {known:.4}. What is best for so short a training need not be best for a \
                 longer one: more --steps, a larger model or one to go on from (--init; of RNA, rna-hairpins) tell more"
            )
        })
    }
}

impl ConditionResult {
    /// The mean over the seeds of a loss on new or seen groups.
    pub(super) fn mean(&self, loss: impl Fn(&TrainingResult) -> Option<f64>) -> Option<f64> {
        let losses = self.trainings.iter().map(loss).collect::<Option<Vec<f64>>>()?;
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }
}

/// One line for each training.
pub fn losses_tsv(evaluation: &Evaluation) -> String {
    let mut tsv =
        "condition\tseed\trecords\tresidues\ttokens\tseconds\tnew_by_group\tnew_by_record\tnew_by_residue\t\
                   seen_by_group\tseen_by_record\tseen_by_residue\n"
            .to_string();
    let columns = |loss: &Option<HeldOutLoss>| match loss {
        Some(loss) => format!("{:.6}\t{:.6}\t{:.6}", loss.by_group, loss.by_record, loss.by_residue),
        None => "\t\t".to_string(),
    };
    for condition in &evaluation.conditions {
        for one in &condition.trainings {
            // writing to a String cannot fail
            let _ = writeln!(
                tsv,
                "{}\t{}\t{}\t{}\t{}\t{:.1}\t{}\t{}",
                condition.name,
                one.seed,
                one.records,
                one.residues,
                one.tokens,
                one.seconds,
                columns(&one.new_groups),
                columns(&one.seen_groups)
            );
        }
    }
    tsv
}

/// One line for each comparison.
pub fn comparisons_tsv(evaluation: &Evaluation) -> String {
    let mut tsv =
        "condition\tcontrol\theld_out\taverage\tdifference\tlow\thigh\tt_half_width\tseeds_better\tseeds\tverdict\n"
            .to_string();
    for pair in &evaluation.comparisons {
        let by_length = pair.new_groups_by_length.iter().map(|class| {
            (format!("new-groups-of-{}-to-{}-tokens", class.shortest, class.longest), vec![class.comparison])
        });
        let sets = [("new-groups", &pair.new_groups), ("seen-groups", &pair.seen_groups)];
        let sets = sets.map(|(held_out, comparisons)| (held_out.to_string(), comparisons.clone()));
        for (held_out, comparisons) in sets.into_iter().chain(by_length) {
            for found in comparisons {
                let half_width = found.half_width.map(|half| format!("{half:.6}")).unwrap_or_default();
                let _ = writeln!(
                    tsv,
                    "{}\t{}\t{held_out}\t{}\t{:.6}\t{:.6}\t{:.6}\t{half_width}\t{}\t{}\t{}",
                    pair.condition,
                    pair.control,
                    found.average.name(),
                    found.difference,
                    found.low,
                    found.high,
                    found.better,
                    found.seeds,
                    found.verdict.name()
                );
            }
        }
    }
    tsv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Baselines;

    fn evaluation(loss: f64) -> Evaluation {
        let of = |loss| HeldOutLoss { by_residue: loss, by_record: loss, by_group: loss };
        let baselines = Baselines { unigram: of(1.386), trigram: of(1.37), causal_trigram: of(1.37) };
        let training = TrainingResult {
            seed: 0,
            records: 10,
            residues: 100,
            tokens: 1000,
            seconds: 1.0,
            new_groups: Some(of(loss)),
            seen_groups: None,
            curve: vec![(500, 1.4), (1000, loss)],
        };
        Evaluation {
            tool: Tool::this(),
            parameters: serde_json::json!({"keep": ["10%"]}),
            pool: 100,
            pool_residues: 1000,
            new_groups: HeldOutSet { records: 10, groups: 2, baselines: Some(baselines), start: None },
            seen_groups: HeldOutSet { records: 0, groups: 0, baselines: None, start: None },
            leaks: 1,
            left_out: vec![("x/<b>".to_string(), 2)],
            conditions: vec![ConditionResult { name: "top-k".to_string(), trainings: vec![training] }],
            comparisons: Vec::new(),
            started: String::new(),
            finished: String::new(),
            seconds: 60.0,
        }
    }

    #[test]
    fn models_that_learned_only_frequencies_are_told_of() {
        for loss in [1.40, 1.386, 1.3815] {
            assert!(evaluation(loss).caution().unwrap().contains("1.3860"), "{loss}");
        }
        assert_eq!(evaluation(1.30).caution(), None);
        let page = crate::report::render_evaluation(&evaluation(1.40));
        assert!(page.contains("Look at this first") && page.contains("next to nothing"), "{page}");
        assert!(!crate::report::render_evaluation(&evaluation(1.30)).contains("Look at this first"));
    }

    #[test]
    fn models_that_learned_nothing_beyond_their_start_are_told_of() {
        let going_on = |loss, start| {
            let mut evaluation = evaluation(loss);
            evaluation.new_groups.start =
                Some(HeldOutLoss { by_residue: start, by_record: start, by_group: start });
            evaluation
        };
        let caution = going_on(1.299, 1.30).caution().unwrap();
        assert!(caution.contains("go on from has 1.3000"), "{caution}");
        assert_eq!(going_on(1.29, 1.30).caution(), None);
        // a start that is worse than frequencies is no measure
        assert!(going_on(1.385, 1.40).caution().unwrap().contains("1.3860"));
        let page = crate::report::render_evaluation(&going_on(1.29, 1.30));
        assert!(
            page.contains("that go on from one model") && page.contains("that model, untrained"),
            "{page}"
        );
    }

    #[test]
    fn a_verdict_that_turns_with_the_length_says_so() {
        let comparison = |verdict, difference| Comparison {
            average: Average::Group,
            difference,
            low: difference - 0.001,
            high: difference + 0.001,
            half_width: Some(0.001),
            better: 3,
            seeds: 3,
            verdict,
        };
        let class = |shortest, verdict, difference| LengthClass {
            shortest,
            longest: shortest + 90,
            groups: 10,
            comparison: comparison(verdict, difference),
        };
        let pair = |last| Pair {
            condition: "coverage".to_string(),
            control: "random".to_string(),
            new_groups: vec![comparison(Verdict::Better, -0.01)],
            new_groups_by_length: vec![class(10, Verdict::Better, -0.03), class(110, last, 0.01)],
            seen_groups: Vec::new(),
        };
        let turning = Evaluation { comparisons: vec![pair(Verdict::Worse)], ..evaluation(1.30) };
        let verdict = &turning.verdicts()[0];
        let told = "; better on groups of 10 to 100 tokens, worse on those of 110 to 200";
        assert!(
            verdict.starts_with("coverage against random: better by") && verdict.ends_with(told),
            "{verdict}"
        );
        let tsv = comparisons_tsv(&turning);
        assert!(tsv.contains("\tnew-groups-of-110-to-200-tokens\tgroup\t0.010000\t"), "{tsv}");
        let page = crate::report::render_evaluation(&turning);
        assert!(page.contains("Differences by length") && page.contains("-0.0300 better"), "{page}");
        let level = Evaluation { comparisons: vec![pair(Verdict::NoDifferenceSeen)], ..evaluation(1.30) };
        assert!(!level.verdicts()[0].contains("tokens"));
        assert!(!crate::report::render_evaluation(&evaluation(1.30)).contains("Differences by length"));
    }

    #[test]
    fn the_page_and_the_table_tell_what_was_left_out_and_take_names_for_text() {
        let page = crate::report::render_evaluation(&evaluation(1.30));
        assert!(
            page.contains("1 held-out record") && page.contains("2 records of x/&lt;b&gt; are held out"),
            "{page}"
        );
        let losses = losses_tsv(&evaluation(1.30));
        assert!(
            losses.ends_with("top-k\t0\t10\t100\t1000\t1.0\t1.300000\t1.300000\t1.300000\t\t\t\n"),
            "{losses}"
        );
    }
}
