//! Our side of what other programs do as well: `peers MODE ARGUMENTS…`, run by the scripts beside this file.
//!
//! `scores FOLDER RECORDS LENGTH` writes `records.fa`, records of random residues, LENGTH on average, and
//! `scores.parquet`, made-up scores of them. `select SCORES STRATEGY` prints the picks of a hundredth.
//! `read PROGRAM FILE` counts residues: by a dataset, or by needletail's own loop. `compress FILE OUT` writes its
//! records as a coreset.

mod synthetic;

use bioprune::error::Result;
use bioprune::random::SplitMix;
use bioprune::scores::{Counts, ScoreRow, Scores, ScoresFile, ScoresFormat, ScoresWriter};
use bioprune::selection::{Budget, Rule, select};
use bioprune::sequence::{CoresetWriter, Dataset, InputOptions};
use bioprune::storage::{Location, Storage};
use flate2::bufread::MultiGzDecoder;
use needletail::parser::{FastaReader, FastxReader};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write, stdout};
use std::path::Path;
use std::sync::Arc;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["scores", folder, records, length] => {
            let number = |text: &str| text.parse::<f64>().expect("a number") as usize;
            write_records(&Path::new(folder).join("records.fa"), number(records), number(length));
            write_scores(Path::new(folder))
        }
        ["select", scores, strategy] => picks(scores, strategy),
        ["read", "bioprune", file] => {
            let records = open(file)?.records(None);
            println!("{}", records.map(|record| record.map(|r| r.sequence().len())).sum::<Result<usize>>()?);
            Ok(())
        }
        ["read", "needletail", file] => {
            println!("{}", needletail(file));
            Ok(())
        }
        ["compress", file, out] => {
            let mut writer = CoresetWriter::create(&Storage::from_env()?, &Location::local(out)?)?;
            open(file)?.records(None).try_for_each(|record| writer.write(&record?))?;
            writer.finish().map(|_| ())
        }
        [] => {
            println!("benches/peers/run.sh runs this");
            Ok(())
        }
        other => panic!("{other:?}: see the head of this file"),
    }
}

fn open(file: &str) -> Result<Dataset> {
    Dataset::open(&Storage::from_env()?, &[file.to_string()], &InputOptions::default())
}

/// Lengths are half of the mean to one and a half.
fn write_records(path: &Path, records: usize, length: usize) {
    let mut file = BufWriter::new(File::create(path).expect("the folder is writable"));
    let mut random = SplitMix::new(1);
    let mut residues = Vec::new();
    for record in 0..records {
        residues.clear();
        residues.extend((0..length / 2 + random.below(length)).map(|_| b"ACGU"[random.below(4)]));
        writeln!(file, ">URS{record:010} a synthetic RNA").expect("room on the disk");
        file.write_all(&residues).and_then(|()| file.write_all(b"\n")).expect("room on the disk");
    }
    file.flush().expect("room on the disk");
}

/// Scores made of the records' hashes.
fn write_scores(folder: &Path) -> Result<()> {
    let dataset = open(folder.join("records.fa").to_str().expect("a path in UTF-8"))?;
    let sink = BufWriter::new(File::create(folder.join("scores.parquet")).expect("the folder is writable"));
    let mut writer =
        ScoresWriter::create(sink, ScoresFormat::Parquet, synthetic::metadata(dataset.sources().to_vec()))?;
    let mut counts = Counts::default();
    for record in dataset.records(None) {
        let record = record?;
        let hash = record.hash();
        let influence = synthetic::influence(hash);
        let residues = record.sequence().len() as u32;
        writer.write(&[ScoreRow {
            source: record.source,
            position: record.position,
            id: String::from_utf8_lossy(record.id()).into(),
            record_hash: hash,
            residues,
            tokens: residues + 2,
            truncated: false,
            loss: 1.0 + influence.abs().fract(),
            grad_norm: influence.abs().sqrt(),
            influence,
        }])?;
        counts.records += 1;
        counts.scored += 1;
        counts.residues += u64::from(residues);
    }
    writer.finish(&counts).map(|_| ())
}

fn picks(scores: &str, strategy: &str) -> Result<()> {
    let content = Arc::new(File::open(scores).expect("a file of scores"));
    let file = ScoresFile { name: scores.to_string(), format: ScoresFormat::Parquet, content };
    let scores = Scores::open(vec![file])?;
    let rule = if strategy == "top-k" { Rule::top_k() } else { Rule::coverage(0.1, 50, false)? };
    let mut out = BufWriter::new(stdout().lock());
    select(&scores, &rule, Budget::Share(0.01), 0)?.stream(&scores, &mut |_, pick| {
        if let Some(pick) = pick {
            writeln!(out, "{}\t{}\t{}", pick.source, pick.position, pick.influence).expect("an open pipe");
        }
        Ok(())
    })
}

fn needletail(path: &str) -> usize {
    let file = || BufReader::with_capacity(256 << 10, File::open(path).expect("a file"));
    let content: Box<dyn Read + Send> = match path.rsplit('.').next() {
        Some("gz") => Box::new(MultiGzDecoder::new(file())),
        Some("bgz") => Box::new(noodles_bgzf::io::Reader::new(file())),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file()).expect("a decoder")),
        _ => Box::new(file()),
    };
    let mut reader = FastaReader::new(content);
    let mut residues = 0;
    while let Some(record) = reader.next() {
        residues += record.expect("FASTA").seq().len();
    }
    residues
}
