//! Groups and confounds from the command line: one part of the shipped example, scored once and selected many times.

use crate::example;
use assert_cmd::Command;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::LazyLock;
use tempfile::TempDir;

const RECORDS: usize = 120;

/// Records of the example with their scores.
struct Scored {
    folder: TempDir,
    /// Id and family of each record, in input order
    families: Vec<(String, String)>,
    /// Ids, the highest influence first
    ranking: Vec<String>,
    summary: Value,
}

static SCORED: LazyLock<Scored> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let input = example::write_short(RECORDS, folder.path());
    let scores = folder.path().join("scores.tsv");
    let output = run(&[
        "score",
        input.to_str().unwrap(),
        "-o",
        scores.to_str().unwrap(),
        "--sample",
        "40",
        "--mask-passes",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let families = example::short(RECORDS)
        .iter()
        .map(|record| {
            let header = String::from_utf8_lossy(record).lines().next().unwrap()[1..].to_string();
            let (id, family) = header.split_once(' ').unwrap();
            (id.to_string(), family.to_string())
        })
        .collect();
    let text = fs::read_to_string(&scores).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut ranking: Vec<(f32, String)> = rows
        .filter_map(|row| {
            let fields: Vec<&str> = row.split('\t').collect();
            Some((fields.last()?.parse().ok()?, fields.get(2)?.to_string()))
        })
        .collect();
    assert_eq!(ranking.len(), RECORDS);
    ranking.sort_by(|a, b| b.0.total_cmp(&a.0));
    let summary = serde_json::from_slice(&output.stdout).unwrap();
    Scored { folder, families, ranking: ranking.into_iter().map(|(_, id)| id).collect(), summary }
});

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("bioprune").unwrap();
    command.args(arguments).args(["--json", "--quiet"]).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A selection from the scores, in a folder of its own.
struct Selected {
    folder: TempDir,
    summary: Value,
}

impl Scored {
    fn try_select(&self, output: &Path, arguments: &[&str]) -> Output {
        let scores = self.folder.path().join("scores.tsv");
        run(&[&["select", scores.to_str().unwrap(), "-o", output.to_str().unwrap()], arguments].concat())
    }

    fn select(&self, arguments: &[&str]) -> Selected {
        let folder = tempfile::tempdir().unwrap();
        let output = self.try_select(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        Selected { folder, summary: serde_json::from_slice(&output.stdout).unwrap() }
    }

    /// A selection that must fail: its exit status and message.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let output = self.try_select(folder.path(), arguments);
        (output.status.code(), stderr(&output))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    /// Families as MMseqs2 writes clusters: representative and member.
    fn as_mmseqs(&self) -> String {
        let mut representatives = BTreeMap::new();
        let lines = self
            .families
            .iter()
            .map(|(id, family)| format!("{}\t{id}\n", representatives.entry(family).or_insert(id)));
        lines.collect()
    }

    /// Families as CD-HIT writes clusters.
    fn as_cd_hit(&self) -> String {
        let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.families.iter().for_each(|(id, family)| members.entry(family).or_default().push(id));
        let cluster = |(number, ids): (usize, &Vec<&str>)| {
            let member = |(i, id): (usize, &&str)| {
                format!("{i}\t70nt, >{id}... {}\n", if i == 0 { "*" } else { "at +/90.00%" })
            };
            format!(">Cluster {number}\n") + &ids.iter().enumerate().map(member).collect::<String>()
        };
        members.values().enumerate().map(cluster).collect()
    }
}

impl Selected {
    fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("manifest.json")).unwrap()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("selected.tsv")).unwrap();
        text.lines().skip(1).map(|line| line.split('\t').nth(2).unwrap().to_string()).collect()
    }

    fn coreset(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("coreset.fa.gz")).unwrap()
    }
}

#[test]
fn a_cap_holds_whatever_tells_the_groups() {
    let scored = &*SCORED;
    let by_header = ["--groups", r"header:(RF\d+)$"];
    let tables = [
        scored.write(
            "families.tsv",
            &scored.families.iter().map(|(id, family)| format!("{id}\t{family}\n")).collect::<String>(),
        ),
        scored.write("clusters.tsv", &scored.as_mmseqs()),
        scored.write("clusters.clstr", &scored.as_cd_hit()),
    ];
    for strategy in ["random", "top-k", "coverage"] {
        let capped = ["--strategy", strategy, "--cap-per-group", "1", "--keep", "15"];
        let expected = scored.select(&[&capped[..], &by_header].concat());
        let families: BTreeMap<&str, &str> =
            scored.families.iter().map(|(id, family)| (id.as_str(), family.as_str())).collect();
        let ids = expected.ids();
        let kept: HashSet<&str> = ids.iter().map(|id| families[id.as_str()]).collect();
        assert_eq!((ids.len(), kept.len()), (15, 15), "{strategy}");
        for table in &tables {
            let found = scored.select(&[&capped[..], &["--groups", table]].concat());
            assert!(found.coreset() == expected.coreset(), "{strategy} by {table}");
        }
    }
}

#[test]
fn balanced_keeps_families_apart_and_says_what_it_did() {
    let scored = &*SCORED;
    let selected =
        scored.select(&["--strategy", "balanced", "--groups", r"header:(RF\d+)$", "--keep", "20%"]);
    let manifest = selected.manifest();
    assert_eq!(manifest["selection"]["strata_of"], "length");
    assert!(manifest["selection"]["cap"].as_u64().unwrap() >= 1);
    assert_eq!(manifest["groups"]["ungrouped"], 0);
    let confounds = &manifest["confounds"];
    assert_eq!((&confounds["pool"]["records"], &confounds["kept"]["records"]), (&RECORDS.into(), &24.into()));
    let by: Vec<&str> =
        confounds["variance"].as_array().unwrap().iter().map(|row| row["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["group", "source", "position", "length"]);
    let table = fs::read_to_string(selected.folder.path().join("confounds.tsv")).unwrap();
    assert!(table.contains("\nrecords\tall\tkept\t24\n"), "{table}");
    let report = fs::read_to_string(selected.folder.path().join("report.html")).unwrap();
    assert!(report.contains("<h2>What explains the scores</h2>"));
}

#[test]
fn a_group_that_takes_over_is_told_in_the_summary_and_bounded_by_a_cap() {
    let scored = &*SCORED;
    let dominant: String = scored.ranking[..20].iter().map(|id| format!("{id}\tdominant\n")).collect();
    let table = scored.write("dominant.tsv", &dominant);
    let top = ["--strategy", "top-k", "--keep", "10%", "--groups", &table];
    let warnings = |selected: &Selected| selected.summary["warnings"].to_string();
    let plain = scored.select(&top);
    assert!(
        warnings(&plain).contains("Group dominant makes up 100% of the kept records, but 17% of the pool"),
        "{}",
        plain.summary
    );
    let capped = scored.select(&[&top[..], &["--cap-per-group", "2"]].concat());
    assert!(!warnings(&capped).contains("makes up"), "{}", capped.summary);
    let selected = fs::read_to_string(capped.folder.path().join("selected.tsv")).unwrap();
    let of = |group: &str| selected.lines().filter(|line| line.ends_with(&format!("\t{group}"))).count();
    assert_eq!((of("group"), of("dominant"), of("-")), (1, 2, 10), "{selected}");
    let kept = capped.ids().iter().filter(|id| scored.ranking[..20].contains(id)).count();
    assert_eq!((kept, capped.ids().len()), (2, 12));
}

#[test]
fn near_duplicates_are_found_without_a_table() {
    let folder = tempfile::tempdir().unwrap();
    // Each record three times, with its last residue another one in the copies.
    let records = example::short(20);
    let copies = records.iter().enumerate().flat_map(|(i, record)| {
        let text = String::from_utf8_lossy(record).into_owned();
        let sequence: String = text.lines().skip(1).collect();
        let shorter = sequence[..sequence.len() - 1].to_string();
        ["", "A", "C"].into_iter().zip(0..).map(move |(end, copy)| format!(">r{i}/{copy}\n{shorter}{end}\n"))
    });
    let input = folder.path().join("copies.fa");
    fs::write(&input, copies.collect::<String>()).unwrap();
    let out = folder.path().join("out");
    let output = run(&[
        "prune",
        input.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--keep",
        "20",
        "--sample",
        "20",
        "--mask-passes",
        "1",
        "--strategy",
        "random",
        "--groups",
        "near",
        "--cap-per-group",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = fs::read_to_string(out.join("selected.tsv")).unwrap();
    let kept: HashSet<&str> = text
        .lines()
        .skip(1)
        .map(|line| line.split('\t').nth(2).unwrap().split('/').next().unwrap())
        .collect();
    assert_eq!(kept.len(), 20, "{text}");
}

#[test]
fn scores_say_what_explains_them() {
    let confounds = &SCORED.summary["confounds"];
    assert_eq!(confounds["pool"]["records"], RECORDS);
    for with in ["length", "loss"] {
        let correlation = confounds["rank_correlation"][with].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&correlation), "{confounds}");
    }
    assert!(confounds["kept"].is_null());
}

#[test]
fn groups_that_do_not_fit_are_refused_with_what_is_wrong() {
    let scored = &*SCORED;
    let (id, _) = &scored.families[0];
    let strangers = scored.write("strangers.tsv", "x\tF\ny\tF\n");
    let twice = scored.write("twice.tsv", &format!("{id}\tF\n{id}\tG\n"));
    let narrow = scored.write("narrow.tsv", "lonely\n");
    let capped = ["--keep", "10%", "--cap-per-group", "2"];
    let with = |groups: &[&str]| scored.refused(&[&capped[..], groups].concat());
    for (groups, status, expected) in [
        (&["--groups", &strangers][..], 65, "none of the ids"),
        (&["--groups", &twice], 65, "two groups, in line 1 and in line 2"),
        (&["--groups", &narrow], 65, "has no column 2"),
        (&["--groups", "header:^(nothing)"], 65, "none of the 120 records"),
        (&["--groups", "not-there.tsv"], 66, "not-there.tsv"),
        (&["--groups", "header:[^|]+"], 2, "capture"),
        (&["--groups", &twice, "--groups-columns", "id,family"], 65, "no column \"id\""),
    ] {
        let (found, message) = with(groups);
        assert_eq!(found, Some(status), "{groups:?}: {message}");
        assert!(message.contains(expected), "{groups:?}: {message}");
    }
}

#[test]
fn without_groups_what_needs_them_has_near_duplicates() {
    let scored = &*SCORED;
    for strategy in [&["--strategy", "balanced"][..], &["--cap-per-group", "2"]] {
        let [found, named] = [&[][..], &["--groups", "near"]]
            .map(|groups| scored.select(&[strategy, &["--keep", "20%"], groups].concat()));
        assert_eq!(found.coreset(), named.coreset(), "{strategy:?}");
        assert_eq!(found.manifest()["groups"]["from"], "near");
    }
}
