//! Selects 1 % of synthetic scores: wall and processor time, and peak memory as the pool grows.
//!
//! `cargo bench --bench selection -- 1e6 1e7 1e8` runs each size from a generator and from a Parquet file (26 bytes a record, in
//! TMPDIR); `--no-generator` and `--no-parquet` leave one out. Without sizes: 1e6 and 1e7. The peer is the plain way: hold all
//! scores, sort.

#[path = "peers/synthetic.rs"]
mod synthetic;

use bioprune::error::Result;
use bioprune::scores::{Counts, ScoreRow, Scores, ScoresFile, ScoresFormat, ScoresWriter};
use bioprune::selection::{Budget, Candidate, Candidates, Rule, select};
use bioprune::sequence::{Compression, Format, Source};
use std::hint::black_box;
use std::io::BufWriter;
use std::sync::Arc;
use std::time::Instant;

const SLICE: u64 = 16_384;

/// Scores made of a record's number: influence with a Pareto tail, a quarter of it negative.
struct Generated(u64);

fn candidate(position: u64) -> Candidate {
    let hash = xxhash_rust::xxh3::xxh3_64(&position.to_le_bytes());
    let influence = synthetic::influence(hash);
    let residues = 30 + ((hash >> 20) % 500) as u32;
    Candidate { source: 0, position, record_hash: hash.rotate_left(17), residues, influence }
}

impl Candidates for Generated {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        let mut slice = Vec::with_capacity(SLICE as usize);
        for start in (0..self.0).step_by(SLICE as usize) {
            slice.clear();
            slice.extend((start..self.0.min(start + SLICE)).map(candidate));
            visit(&slice)?;
        }
        Ok(())
    }

    /// About two groups for each three records, of random sizes: more than could be held.
    fn group(&self, ordinal: u64) -> Option<u64> {
        Some(xxhash_rust::xxh3::xxh3_64_with_seed(&ordinal.to_le_bytes(), 1) % self.0 + 1)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let without = |what: &str| arguments.iter().any(|argument| argument == what);
    let mut sizes: Vec<u64> =
        arguments.iter().filter_map(|size| size.parse::<f64>().ok()).map(|n| n as u64).collect();
    if sizes.is_empty() {
        sizes = vec![1_000_000, 10_000_000];
    }
    println!(
        "{:<10} {:>10} {:<22} {:>9} {:>9} {:>9} {:>9}",
        "pool", "records", "strategy", "wall s", "proc. s", "ns/record", "peak MiB"
    );
    for n in sizes {
        if !without("--no-generator") {
            measure("generator", n, "one pass", || Generated(n).scan(&mut |slice| consume(slice)));
            every_strategy("generator", n, &Generated(n));
            if n <= 10_000_000 {
                measure("generator", n, "top-k by sorting", || sort_all(n));
            }
        }
        if !without("--no-parquet") {
            let scores = written(n)?;
            measure("parquet", n, "one pass", || scores.scan(&mut |slice| consume(slice)));
            every_strategy("parquet", n, &scores);
        }
    }
    Ok(())
}

fn every_strategy(pool_name: &str, n: u64, pool: &dyn Candidates) {
    let coverage = |equal_count| Rule::coverage(0.1, 50, equal_count);
    let rules = [
        ("top-k", Ok(Rule::top_k()), Budget::Share(0.01)),
        ("random", Ok(Rule::random()), Budget::Share(0.01)),
        ("coverage", coverage(false), Budget::Share(0.01)),
        ("coverage, equal count", coverage(true), Budget::Share(0.01)),
        ("coverage, residues", coverage(false), Budget::Residues(n * 28 / 10)),
        ("balanced", Ok(Rule::balanced()), Budget::Share(0.01)),
    ];
    for (name, rule, budget) in rules {
        measure(pool_name, n, name, || {
            let selection = select(pool, &rule?, budget, 0)?;
            let mut kept = 0;
            selection.stream(pool, &mut |_, pick| {
                kept += u64::from(black_box(pick).is_some());
                Ok(())
            })?;
            assert_eq!(kept, selection.kept.records);
            assert!(kept == n / 100 || matches!(budget, Budget::Residues(_)));
            Ok(())
        });
    }
}

/// Runs once and prints; the peak of the resident memory is that of this run alone.
fn measure(pool: &str, n: u64, what: &str, run: impl FnOnce() -> Result<()>) {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (start, processor) = (Instant::now(), processor_seconds());
    run().unwrap();
    let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    let peak = bioprune::process::peak()
        .map_or_else(|| "unknown".to_string(), |bytes| format!("{:.1}", bytes as f64 / 1048576.0));
    let each = processor * 1e9 / n as f64;
    println!("{pool:<10} {n:>10} {what:<22} {seconds:>9.2} {processor:>9.2} {each:>9.1} {peak:>9}");
}

/// Seconds that the threads of this process have had processors: other load on the machine does not count.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux keeps stat");
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|of| of.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

/// What Linux tells user space, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

fn consume(slice: &[Candidate]) -> Result<()> {
    black_box(slice.iter().map(|candidate| candidate.influence).sum::<f32>());
    Ok(())
}

fn sort_all(n: u64) -> Result<()> {
    let mut all = Vec::new();
    Generated(n).scan(&mut |slice| {
        all.extend_from_slice(slice);
        Ok(())
    })?;
    all.sort_by(|a, b| b.influence.total_cmp(&a.influence));
    all.truncate(n as usize / 100);
    black_box(&all);
    Ok(())
}

/// The generated scores as a real file, which is removed when it is closed.
fn written(n: u64) -> Result<Scores> {
    let file = tempfile::tempfile().unwrap();
    let metadata = synthetic::metadata(vec![Source {
        uri: "synthetic".parse()?,
        size: 0,
        etag: None,
        fingerprint: None,
        format: Format::Fasta,
        compression: Compression::None,
    }]);
    let start = Instant::now();
    let sink = BufWriter::new(file.try_clone().unwrap());
    let mut writer = ScoresWriter::create(sink, ScoresFormat::Parquet, metadata)?;
    Generated(n).scan(&mut |slice| {
        let rows: Vec<ScoreRow> = slice.iter().map(row).collect();
        writer.write(&rows)
    })?;
    writer.finish(&Counts { records: n, scored: n, ..Counts::default() })?;
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), file.metadata().unwrap().len());
    println!("parquet file written: {seconds:.1} s, {:.1} bytes a record", bytes as f64 / n as f64);
    Scores::open(vec![ScoresFile {
        name: "scores.parquet".to_string(),
        format: ScoresFormat::Parquet,
        content: Arc::new(file),
    }])
}

fn row(candidate: &Candidate) -> ScoreRow {
    let &Candidate { source, position, record_hash, residues, influence } = candidate;
    ScoreRow {
        source,
        position,
        id: format!("URS{:010X}_9606", record_hash >> 24).into(),
        record_hash,
        residues,
        tokens: residues + 2,
        truncated: false,
        loss: 1.0 + influence.abs().fract(),
        grad_norm: influence.abs().sqrt(),
        influence,
    }
}
