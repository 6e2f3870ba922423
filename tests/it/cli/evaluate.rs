//! `evaluate` through the command line: verdicts on data whose answer is known, and an evaluation that goes on.

use super::{bioprune, stderr, stdout};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Twenty families rich in G and C, and one that is nine tenths of all records and mostly A.
fn inputs(folder: &Path) {
    let mut random = bioprune::random::SplitMix::new(1);
    let (mut varied, mut redundant) = (String::new(), String::new());
    for number in 0..1200usize {
        let varies = number % 10 == 0;
        let letters = if varies { b"GCGCGCAU" } else { b"AAAAAAGC" };
        let sequence: String = (0..40).map(|_| char::from(letters[random.below(8)])).collect();
        let family = if varies { format!("F{}", number / 10 % 20) } else { "redundant".to_string() };
        let _ = write!(if varies { &mut varied } else { &mut redundant }, ">{family}|{number}\n{sequence}\n");
    }
    fs::write(folder.join("all.fa"), format!("{varied}{redundant}")).unwrap();
    fs::write(folder.join("varied.fa"), varied).unwrap();
    fs::write(folder.join("redundant.fa"), redundant).unwrap();
}

const TRAINER: &str = "--keep 10% --strategies top-k --seeds 3 --holdout 0.3 --groups header:^([^|]+) --steps 60 --step-tokens 512 \
                       --layers 1 --hidden-size 16 --heads 2 --max-tokens 64 --mask-passes 1 --sample 50 --controls records,everything \
                       --learning-rate 1e-2";

fn evaluate(folder: &Path, more: &[&str]) -> std::process::Output {
    let mut arguments = vec!["evaluate", "all.fa", "-o", "out", "--json"];
    arguments.extend(TRAINER.split_whitespace());
    arguments.extend(more);
    bioprune(&arguments).current_dir(folder).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The verdict on a condition against a control by the mean over new groups.
fn verdict<'v>(evaluation: &'v Value, condition: &str, control: &str) -> &'v str {
    let pairs = evaluation["comparisons"].as_array().unwrap();
    let pair = pairs.iter().find(|pair| {
        pair["condition"].as_str().unwrap().ends_with(condition)
            && pair["control"].as_str().unwrap().starts_with(control)
    });
    let by_group = pair.unwrap()["new_groups"].as_array().unwrap();
    by_group.iter().find(|found| found["average"] == "group").unwrap()["verdict"].as_str().unwrap()
}

#[test]
fn it_says_that_a_coreset_is_better_and_that_one_is_worse_and_goes_on_where_it_was_stopped() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let output = evaluate(folder.path(), &["--selection", "varied.fa", "redundant.fa"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let out = folder.path().join("out");
    let evaluation = json(&out.join("evaluation.json"));
    assert_eq!(verdict(&evaluation, "varied.fa", "everything"), "better", "{evaluation:#}");
    assert_eq!(verdict(&evaluation, "redundant.fa", "everything"), "worse");
    assert!(stderr(&output).contains("better by"), "{}", stderr(&output));
    let left_out = evaluation["left_out"][0][1].as_u64().unwrap();
    assert!(left_out > 0, "some of its families are held out: {left_out}");

    // Every condition is trained as long, under the same seeds.
    let conditions = evaluation["conditions"].as_array().unwrap();
    for condition in conditions {
        let trainings = condition["trainings"].as_array().unwrap();
        assert_eq!(trainings.iter().map(|one| one["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(trainings.iter().all(|one| one["curve"].as_array().unwrap().len() >= 10));
    }
    let losses = fs::read_to_string(out.join("losses.tsv")).unwrap();
    assert_eq!(losses.lines().count(), 1 + 3 * conditions.len());
    assert!(fs::read_to_string(out.join("comparisons.tsv")).unwrap().contains("\tbetter\n"));
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("Does the coreset help?"));

    let mut scoring: Vec<_> = (fs::read_dir(out.join("masked-lm-debiased-1")).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    scoring.sort();
    assert_eq!(scoring, ["curvature.safetensors", "scores.parquet"]);

    // One training is lost: it alone is done again, to the same numbers, and nothing is scored again.
    let scores =
        || fs::metadata(out.join("masked-lm-debiased-1/scores.parquet")).unwrap().modified().unwrap();
    let scored = scores();
    let runs: Vec<_> = fs::read_dir(out.join("runs")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(runs.len(), 3 * conditions.len());
    fs::remove_file(&runs[0]).unwrap();
    let again = evaluate(folder.path(), &["--selection", "varied.fa", "redundant.fa"]);
    let summary: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(summary["earlier"].as_u64().unwrap() + 1, summary["trainings"].as_u64().unwrap());
    assert_eq!(scores(), scored);
    let repeated = json(&out.join("evaluation.json"));
    assert!(repeated["comparisons"] == evaluation["comparisons"], "{repeated:#}");
}

#[test]
fn a_coreset_that_is_there_is_evaluated_alone_without_scores_and_as_beside_strategies() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let run = |out: &str, budget: &[&str]| {
        let trainer = "--seeds 1 --steps 20 --holdout 0.3 --groups header:^([^|]+) --step-tokens 512 --layers 1 --hidden-size 16 \
                       --heads 2 --max-tokens 64 --sample 50 --controls records,lengths,cap,everything";
        let mut arguments = vec!["evaluate", "all.fa", "-o", out, "--json", "--selection", "varied.fa"];
        arguments.extend(budget.iter().copied().chain(trainer.split_whitespace()));
        let output = bioprune(&arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        json(&folder.path().join(out).join("evaluation.json"))
    };
    let losses = |evaluation: &Value| -> Vec<(String, Value)> {
        let conditions = evaluation["conditions"].as_array().unwrap().iter();
        let of_coreset =
            conditions.filter(|condition| !condition["name"].as_str().unwrap().contains("top-k"));
        let loss = |condition: &Value| {
            (condition["name"].to_string(), condition["trainings"][0]["new_groups"].clone())
        };
        of_coreset.map(loss).collect()
    };
    let alone = losses(&run("alone", &[]));
    assert_eq!(alone.len(), 5);
    let mut files: Vec<_> = (fs::read_dir(folder.path().join("alone")).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = ["comparisons.tsv", "evaluation.json", "losses.tsv", "pool.fa.gz", "report.html", "runs"];
    assert_eq!(files, expected, "nothing is scored");
    let beside = losses(&run("beside", &["--keep", "5%", "--strategies", "top-k", "--mask-passes", "1"]));
    assert!(alone.iter().all(|one| beside.contains(one)), "{alone:?}\n{beside:?}");

    // what strategies would be told is refused where there are none
    let arguments = ["evaluate", "all.fa", "-o", "x", "--selection", "varied.fa", "--strategies", "top-k"];
    let output = bioprune(&arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--keep"), "{}", stderr(&output));
}

#[test]
fn conditions_of_the_same_records_are_trained_once() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let trainer = "--seeds 2 --steps 20 --holdout 0.3 --groups header:^([^|]+) --step-tokens 512 --layers 1 --hidden-size 16 \
                   --heads 2 --max-tokens 64 --controls everything";
    let output = bioprune(&["evaluate", "all.fa", "-o", "out", "--selection", "all.fa", "varied.fa"])
        .args(trainer.split_whitespace())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let evaluation = json(&folder.path().join("out/evaluation.json"));
    let conditions = evaluation["conditions"].as_array().unwrap();
    let losses = |name: &str| {
        let found = conditions.iter().find(|condition| condition["name"].as_str().unwrap().ends_with(name));
        let trainings = found.unwrap()["trainings"].as_array().unwrap();
        trainings.iter().map(|one| one["new_groups"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses("all.fa"), losses("everything"));
    assert_ne!(losses("all.fa"), losses("varied.fa"));
    assert_eq!(conditions.len(), 3);
    assert_eq!(fs::read_dir(folder.path().join("out/runs")).unwrap().count(), 2 * 2);
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    fs::write(folder.path().join("other.fa"), ">F0|stranger\nACGU\n").unwrap();
    let refused = |more: &[&str], status, said: &str| {
        let output = evaluate(folder.path(), more);
        assert_eq!(output.status.code(), Some(status), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{more:?}: {}", stderr(&output));
    };
    refused(&["--selection", "other.fa"], 65, "stranger");
    refused(&["--selection", "missing.fa"], 66, "missing.fa");
    // all records are of one group
    let arguments = "evaluate all.fa -o one --keep 10% --groups header:^(F)";
    fs::write(folder.path().join("all.fa"), ">F_1\nACGUACGU\n>F_2\nACGUUUGU\n").unwrap();
    let one =
        bioprune(&arguments.split(' ').collect::<Vec<_>>()).current_dir(folder.path()).output().unwrap();
    assert_eq!(one.status.code(), Some(65), "{}", stderr(&one));
    assert!(stderr(&one).contains("several groups"), "{}", stderr(&one));
}

#[test]
fn without_groups_near_duplicates_are_held_out_and_controls_match_the_composition() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let arguments = "evaluate varied.fa -o out --json --keep 30% --strategies balanced --controls lengths,composition --seeds 1 --steps 10 \
                     --step-tokens 512 --layers 1 --hidden-size 16 --heads 2 --max-tokens 64 --mask-passes 1 --sample 50";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let output = bioprune(&arguments).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("groups of near-duplicates are held out"), "{}", stderr(&output));
    let evaluation = json(&folder.path().join("out/evaluation.json"));
    assert_eq!(evaluation["parameters"]["groups"], "near");
    let conditions = evaluation["conditions"].as_array().unwrap();
    let training = |name: &str| {
        let found = conditions.iter().find(|condition| condition["name"] == name).unwrap();
        found["trainings"][0].clone()
    };
    let (coreset, control) = (training("balanced"), training("composition-of-balanced"));
    assert_eq!(coreset["records"], control["records"]);
    // all are of one length
    assert_eq!(coreset["residues"], control["residues"]);
    assert_ne!(coreset["new_groups"], control["new_groups"]);
    assert_eq!(verdict(&evaluation, "balanced", "composition-of-balanced"), "too-few-seeds");
}

#[test]
fn coresets_of_any_strategy_are_drawn_under_the_cap_where_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let arguments = "evaluate all.fa -o out --json --keep 10% --strategies random,balanced --cap-coresets --cap-per-group 4 \
                     --controls records,cap --seeds 1 --steps 10 --groups header:^([^|]+) --step-tokens 512 --layers 1 \
                     --hidden-size 16 --heads 2 --max-tokens 64 --mask-passes 1 --sample 50";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let output = bioprune(&arguments).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let evaluation = json(&folder.path().join("out/evaluation.json"));
    let conditions = evaluation["conditions"].as_array().unwrap();
    let losses = |holds: &dyn Fn(&str) -> bool| {
        let found = conditions.iter().find(|condition| holds(condition["name"].as_str().unwrap())).unwrap();
        found["trainings"][0]["new_groups"].clone()
    };
    let coreset = losses(&|name| name == "random-capped");
    // controls are called after their numbers
    let control = |name: &str| {
        name.strip_prefix("random-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    assert_eq!(coreset, losses(&|name| control(name) && name.ends_with("-capped")));
    assert_ne!(coreset, losses(&|name| control(name) && !name.ends_with("-capped")));
    assert_ne!(coreset, losses(&|name| name == "balanced"));
}

#[test]
fn trainings_go_on_from_a_model_and_are_anew_once_it_is_another() {
    let folder = TempDir::new().unwrap();
    inputs(folder.path());
    let train = |seed: &str| {
        let arguments = "train varied.fa -o start.safetensors --groups header:^([^|]+) --steps 40 --step-tokens 512 --layers 1 \
                         --hidden-size 16 --heads 2 --ffn-size 32 --max-tokens 64 --learning-rate 1e-2 --seed";
        let arguments: Vec<&str> = arguments.split_whitespace().chain([seed]).collect();
        let output = bioprune(&arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    let evaluate = |keep: &str, more: &str| {
        let arguments = "evaluate varied.fa -o out --json --strategies top-k --controls everything --seeds 1 --steps 10 \
                         --step-tokens 512 --mask-passes 1 --sample 50 --groups header:^([^|]+)";
        let more = more.split_whitespace();
        let arguments: Vec<&str> = arguments.split_whitespace().chain(["--keep", keep]).chain(more).collect();
        bioprune(&arguments).current_dir(folder.path()).output().unwrap()
    };
    let losses = || {
        let evaluation = json(&folder.path().join("out/evaluation.json"));
        let of = |condition: &Value| condition["trainings"][0]["new_groups"]["by_group"].as_f64().unwrap();
        let trained: Vec<f64> = evaluation["conditions"].as_array().unwrap().iter().map(of).collect();
        (evaluation["new_groups"]["start"]["by_group"].as_f64().unwrap(), trained)
    };
    let earlier = |output: &std::process::Output| -> Value {
        assert!(output.status.success(), "{}", stderr(output));
        serde_json::from_str::<Value>(&stdout(output)).unwrap()["earlier"].clone()
    };
    train("1");
    // steps so small that the models stay what they were
    let still = "--init start.safetensors --learning-rate 1e-12";
    assert_eq!(earlier(&evaluate("30%", still)), 0);
    let (start, trained) = losses();
    assert!(start < 1.37 && trained.iter().all(|loss| (loss - start).abs() < 1e-6), "{start} {trained:?}");
    assert_eq!(earlier(&evaluate("30%", still)), 2);
    // with a budget more the first one's condition has another name, and the same records
    assert_eq!(earlier(&evaluate("30%,10%", still)), 2);
    train("2");
    assert_eq!(earlier(&evaluate("30%", still)), 0);
    assert!(losses().0 != start);
    assert_eq!(earlier(&evaluate("30%", "--init start.safetensors --learning-rate 1e-2")), 0);
    let (start, trained) = losses();
    assert!(trained.iter().all(|loss| (loss - start).abs() > 1e-5), "{start} {trained:?}");

    for (flags, status, said) in [
        ("--init protein-nano", 65, "RNA"),
        ("--init missing.safetensors", 69, "missing.safetensors"),
        ("--init start.safetensors --layers 2", 2, "--layers"),
    ] {
        let output = evaluate("30%", flags);
        assert_eq!(output.status.code(), Some(status), "{flags}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{flags}: {}", stderr(&output));
    }
}
