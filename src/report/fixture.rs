//! A report for tests: a pool of 1,000 records whose lengths and choice the test gives.

use super::*;
use crate::confounds::{Observation, Observer};
use crate::influence::{CurvatureForm, Damping, Estimator, Objective};
use crate::scores::{Counts, CurvatureRef, ModelRef};

const RECORDS: u64 = 1_000;

pub(super) fn report(length: impl Fn(u64) -> u64, kept: impl Fn(u64) -> bool) -> ReportData {
    let (mut influence, mut lengths) = (Distribution::default(), Distribution::default());
    let (mut pool, mut coreset) = (SetSize::default(), SetSize::default());
    let mut observer = Observer::default();
    for i in 0..RECORDS {
        influence.add((i % 97) as f32 / 50.0 - 0.3, kept(i));
        lengths.add(length(i) as f32, kept(i));
        let observation = Observation {
            source: 0,
            residues: length(i) as u32,
            loss: (i % 89) as f32,
            influence: (i % 97) as f32 / 50.0 - 0.3,
            group: None,
            kept: kept(i),
        };
        observer.add(&observation).unwrap();
        for (set, counts) in [(&mut pool, true), (&mut coreset, kept(i))] {
            set.records += u64::from(counts);
            set.residues += if counts { length(i) } else { 0 };
        }
    }
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        tool: Tool::this(),
        command: "prune".to_string(),
        parameters: serde_json::json!({"inputs": ["rna.fa.gz"], "keep": "10%", "strata": 50, "match": null}),
        model: ModelRef { name: "rna-nano".to_string(), digest: "xxh3:0".to_string() },
        scoring: Scoring {
            engine: "cpu-f32".to_string(),
            objective: Objective::MaskedLm,
            mask_passes: 7,
            estimator: Estimator::Debiased,
            damping: Damping::Relative(0.1),
            curvature: CurvatureRef {
                form: CurvatureForm::Diagonal,
                digest: "xxh3:1".to_string(),
                records: 500,
                mean: 0.25,
            },
            seed: 0,
        },
        seed: 0,
        repeated_ids: Some(0),
        inputs: vec![InputFile {
            uri: "in/rna.fa.gz".to_string(),
            size: 12_345,
            etag: None,
            sha256: Some("ab".to_string()),
        }],
        outputs: vec![OutputFile {
            uri: "out/selected.tsv".to_string(),
            size: 1_234,
            sha256: "cd".to_string(),
        }],
        counts: Counts { records: RECORDS, residues: pool.residues, scored: RECORDS, ..Counts::default() },
        selection: Selection {
            strategy: "coverage".to_string(),
            keep: "10%".to_string(),
            pool,
            kept: coreset,
            cap: None,
            beyond_cap: None,
            over_cap: None,
            strata_of: Some("influence".to_string()),
            strata: vec![Stratum {
                name: "0".to_string(),
                low: -0.3,
                high: 1.62,
                records: pool.records,
                kept: coreset.records,
            }],
        },
        groups: None,
        confounds: observer.finish(None, true).unwrap(),
        started: "2026-01-02T03:04:05Z".to_string(),
        finished: "2026-01-02T03:04:15Z".to_string(),
        seconds: 10.0,
        threads: 2,
    };
    ReportData { manifest, influence: influence.histogram(0.0), length: lengths.histogram(1.0) }
}
