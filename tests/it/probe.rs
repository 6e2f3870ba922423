//! `probe` through the command line: signals that are known, noise, and tables that are wrong.

use assert_cmd::Command;
use bioprune::random::SplitMix;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

fn probe(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
    command.current_dir(folder).args(["probe", "--model", "rna-nano"]).args(arguments).output().unwrap()
}

fn result(folder: &Path, arguments: &[&str]) -> Value {
    let output = probe(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let at = arguments.iter().position(|argument| *argument == "-o").unwrap() + 1;
    let out = folder.join(arguments[at]);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("What do the embeddings tell?"));
    assert!(fs::read_to_string(out.join("metrics.tsv")).unwrap().lines().count() > 3);
    serde_json::from_slice(&fs::read(out.join("probe.json")).unwrap()).unwrap()
}

/// The finding on the embedding against a baseline, and a predictor's value.
fn finding<'v>(result: &'v Value, control: &str) -> &'v str {
    let comparisons = result["comparisons"].as_array().unwrap();
    comparisons.iter().find(|one| one["control"] == control).unwrap()["finding"].as_str().unwrap()
}

fn value(result: &Value, predictor: &str) -> f64 {
    let predictors = result["predictors"].as_array().unwrap();
    let found = predictors.iter().find(|one| one["name"] == predictor).unwrap();
    found["metrics"][0]["value"].as_f64().unwrap()
}

/// The example that ships: its members of middling families by id, family and place in it.
fn families() -> Vec<(String, String, usize)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rna/rfam_cm_samples.fa.gz");
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let mut members: std::collections::BTreeMap<&str, Vec<&str>> = Default::default();
    for header in text.lines().filter_map(|line| line.strip_prefix('>')) {
        let (id, family) = header.split_once(' ').unwrap();
        members.entry(family).or_default().push(id);
    }
    let middling = members.into_iter().filter(|(_, ids)| (25..=40).contains(&ids.len())).take(12);
    middling
        .flat_map(|(family, ids)| {
            ids.into_iter()
                .enumerate()
                .map(|(at, id)| (id.to_string(), family.to_string(), at))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn families_are_told_better_than_from_their_composition_and_noise_is_not() {
    let folder = TempDir::new().unwrap();
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rna/rfam_cm_samples.fa.gz");
    let (mut signal, mut noise) = ("id\tlabel\tsplit\n".to_string(), "id\tlabel\tsplit\n".to_string());
    let mut random = SplitMix::new(4);
    for (id, family, at) in families() {
        let split = if at % 3 == 0 { "test" } else { "train" };
        let _ = writeln!(signal, "{id}\t{family}\t{split}");
        let _ = writeln!(noise, "{id}\t{}\t{split}", ["heads", "tails"][random.below(2)]);
    }
    fs::write(folder.path().join("signal.tsv"), signal + "nobody/1\tRF99999\ttrain\n").unwrap();
    fs::write(folder.path().join("noise.tsv"), noise).unwrap();
    let of = |labels: &str, out: &str, more: &[&str]| {
        let mut arguments =
            vec![input.to_str().unwrap(), "--labels", labels, "--task", "sequence", "-o", out];
        arguments.extend(["--on-leak", "drop"]);
        arguments.extend(more);
        result(folder.path(), &arguments)
    };
    let families = of("signal.tsv", "families", &[]);
    assert_eq!(finding(&families, "one-hot"), "better", "{:#}", families["comparisons"]);
    assert_eq!(finding(&families, "majority"), "better");
    assert!(value(&families, "embedding") > 0.5, "{:#}", families["predictors"]);
    assert_eq!(families["left_out"]["labels_of_unknown_ids"], 1);
    assert_eq!(families["classes"].as_array().unwrap().len(), 12);

    let coins = of("noise.tsv", "coins", &[]);
    for control in ["one-hot", "majority"] {
        assert_ne!(finding(&coins, control), "better", "{:#}", coins["comparisons"]);
    }

    // On another number of threads and in other batches: the same numbers.
    let mut again = of("signal.tsv", "again", &["--threads", "3", "--max-batch-tokens", "500"]);
    for field in ["predictors", "comparisons", "classes"] {
        assert_eq!(again[field].take(), families[field], "{field}");
    }
}

/// Hairpins of random stems: `stem` pairs around a loop, flanked by single bases.
fn hairpins(folder: &Path, records: usize) {
    let mut random = SplitMix::new(9);
    let (mut fasta, mut table) = (String::new(), "id\tfamily\tstructure\n".to_string());
    for number in 0..records {
        let mut bases = |n: usize| (0..n).map(|_| b"ACGU"[random.below(4)]).collect::<Vec<u8>>();
        let (stem, around, inner) = (bases(8), [bases(3), bases(3)], bases(5));
        let partner = |base: &u8| match base {
            b'A' => b'U',
            b'C' => b'G',
            b'G' => b'C',
            _ => b'A',
        };
        let other: Vec<u8> = stem.iter().rev().map(partner).collect();
        let sequence = [&around[0][..], &stem, &inner, &other, &around[1]].concat();
        let _ = write!(fasta, ">h{number}\n{}\n", String::from_utf8(sequence).unwrap());
        let _ = writeln!(table, "h{number}\tF{}\t...((((((((.....))))))))...", number % 40);
    }
    fs::write(folder.join("hairpins.fa"), fasta).unwrap();
    fs::write(folder.join("hairpins.tsv"), table).unwrap();
}

#[test]
fn stems_are_told_base_by_base_and_pair_by_pair() {
    let folder = TempDir::new().unwrap();
    hairpins(folder.path(), 120);
    let table = ["hairpins.fa", "--labels", "hairpins.tsv", "--label", "structure", "--holdout", "0.3"];
    let of = |task: &str, more: &[&str]| {
        let mut arguments = table.to_vec();
        arguments.extend(["--task", task, "-o", task]);
        arguments.extend(more);
        result(folder.path(), &arguments)
    };
    // where a base stands tells all here, and windows reach the ends
    let paired = of("paired", &["--groups", "near"]);
    assert_eq!(finding(&paired, "majority"), "better", "{:#}", paired["predictors"]);
    assert_eq!(paired["classes"][0]["name"], "paired");
    let test = &paired["test"];
    assert_eq!(test["examples"].as_u64().unwrap(), 27 * test["records"].as_u64().unwrap());

    let pair = of("pair", &["--max-examples", "2000"]);
    assert_eq!(value(&pair, "majority"), 0.0);
    assert!(value(&pair, "one-hot") > 0.6, "{:#}", pair["predictors"]);
    assert_eq!(finding(&pair, "majority"), "better", "{:#}", pair["predictors"]);
    assert!(pair["train"]["used"].as_u64().unwrap() <= 2000);
    assert_eq!(pair["train"]["records"].as_u64().unwrap() + pair["test"]["records"].as_u64().unwrap(), 120);
}

#[test]
fn what_is_wrong_with_labels_is_told_by_file_line_and_record() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("in.fa"), ">a|1\nACGUACGUAA\n>a|2\nGGGUACGUAA\n>b|1\nacgtacgtaa\n>c|1\nCCCCGGGGAA\n")
        .unwrap();
    fs::write(path.join("twice.fa"), ">a|1\nACGU\n>a|1\nACGG\n").unwrap();
    let head = "id\tlabel\tsplit\n";
    let cases: &[(&str, String, &[&str], &str)] = &[
        ("sequence", format!("{head}x\tA\ttrain\n"), &[], "none of the ids in the 1 lines of"),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\na|1\tB\ttest\n"),
            &[],
            "l.tsv, line 3: the id \"a|1\" repeats",
        ),
        (
            "residue",
            format!("{head}a|1\tHHHH\ttrain\n"),
            &[],
            "l.tsv, line 2 (a|1): the label has 4 letters and the record 10",
        ),
        (
            "pair",
            format!("{head}a|1\t((......).\ttrain\n"),
            &[],
            "l.tsv, line 2 (a|1): in the structure, position 1 is '('",
        ),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\nb|1\tB\ttest\n"),
            &[],
            "line 2 (a|1) has the same sequence as",
        ),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\na|2\tB\ttest\n"),
            &["--groups", "header:^([^|]+)"],
            "line 2 (a|1) has the same group as",
        ),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\nb|1\tB\ttest\n"),
            &["--on-leak", "drop"],
            "1 were dropped as leaks",
        ),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\na|2\tA\ttrain\nc|1\tB\ttest\n"),
            &[],
            "one class alone to train on, \"A\"",
        ),
        (
            "sequence",
            format!("{head}a|1\tA\ttrain\na|2\tB\ttrain\nc|1\tB\ttest\n"),
            &["--groups", "header:^([^|]+)"],
            "all records to train on are of one group",
        ),
        ("sequence", format!("{head}a|1\tA\ttrain\n"), &[], "1 records to train on and 0 to test on"),
        (
            "sequence",
            "id\tlabel\na|1\tA\na|2\tB\n".to_string(),
            &["--groups", "header:^([^|]+)"],
            "of one group",
        ),
        (
            "pair",
            format!("{head}a|1\t..........\ttrain\na|2\t..........\ttrain\nc|1\t(........)\ttest\n"),
            &[],
            "no pair in any structure",
        ),
    ];
    for (task, table, more, expected) in cases {
        fs::write(path.join("l.tsv"), table).unwrap();
        let mut arguments = vec!["in.fa", "--labels", "l.tsv", "--task", task, "-o", "out"];
        arguments.extend(*more);
        let output = probe(path, &arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{table}: {told}");
        assert!(told.contains(expected), "{expected} is not in {told}");
        assert!(!path.join("out/probe.json").exists());
    }
    fs::write(path.join("l.tsv"), format!("{head}a|1\tA\ttrain\n")).unwrap();
    let output = probe(path, &["twice.fa", "--labels", "l.tsv", "--task", "sequence", "-o", "out"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("its id repeats") && told.contains("l.tsv, line 2"), "{told}");
    let masked = ["in.fa", "--labels", "l.tsv", "--task", "pair", "--mask", "label", "-o", "out"];
    assert_eq!(probe(path, &masked).status.code(), Some(2));
}
