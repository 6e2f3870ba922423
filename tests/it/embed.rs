//! `embed` through the command line: one vector a record or a residue, and which vectors those are.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use assert_cmd::Command;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;

const FASTA: &str = ">a first\nGGCUAACGUAGCUAGC\n>b\nACGU\n>c\nGGGGCCCCAAAAUUUUGGGG\n";
const DIMENSION: usize = 64;

fn embed(folder: &Path, fasta: &str, output: &str, more: &[&str]) -> RecordBatch {
    fs::write(folder.join("in.fa"), fasta).unwrap();
    Command::new(env!("CARGO_BIN_EXE_bioprune"))
        .current_dir(folder)
        .args(["embed", "in.fa", "--model", "rna-nano", "-o", output])
        .args(more)
        .assert()
        .success();
    let file = File::open(folder.join(output)).unwrap();
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

/// The vectors of each record.
fn vectors(batch: &RecordBatch) -> Vec<Vec<f32>> {
    let column = batch.column_by_name("embedding").unwrap();
    let row = |i: usize| {
        let row = match column.as_list_opt::<i32>() {
            Some(lists) => lists.value(i).as_fixed_size_list().values().clone(),
            None => column.as_fixed_size_list().value(i),
        };
        row.as_primitive::<Float32Type>().values().to_vec()
    };
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn a_records_vector_is_the_mean_of_its_residues_and_hangs_on_nothing_else() {
    let folder = TempDir::new().unwrap();
    let pooled = embed(folder.path(), FASTA, "pooled.parquet", &[]);
    let ids: Vec<&str> = pooled.column_by_name("id").unwrap().as_string::<i32>().iter().flatten().collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let residues = pooled.column_by_name("residues").unwrap().as_primitive::<UInt32Type>().values().to_vec();
    assert_eq!(residues, [16, 4, 20]);
    let pooled = vectors(&pooled);

    let each = vectors(&embed(folder.path(), FASTA, "each.parquet", &["--per-residue"]));
    for ((mean, each), residues) in pooled.iter().zip(&each).zip(residues) {
        assert_eq!((mean.len(), each.len()), (DIMENSION, DIMENSION * residues as usize));
        for (i, value) in mean.iter().enumerate() {
            let sum: f64 = each.iter().skip(i).step_by(DIMENSION).map(|value| f64::from(*value)).sum();
            assert_eq!(*value, (sum / f64::from(residues)) as f32);
        }
    }
    // alone, in another batch size and on another number of threads: the same bits
    let alone = embed(folder.path(), ">c\nGGGGCCCCAAAAUUUUGGGG\n", "alone.parquet", &[]);
    assert_eq!(vectors(&alone)[0], pooled[2]);
    let options = ["--max-batch-tokens", "1", "--threads", "3"];
    assert_eq!(vectors(&embed(folder.path(), FASTA, "small.parquet", &options)), pooled);
    assert_ne!(pooled[0], pooled[2]);
}

#[test]
fn another_name_or_no_record_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("in.fa"), FASTA).unwrap();
    let embed = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
        command.current_dir(folder.path()).arg("embed").args(arguments).output().unwrap().status.code()
    };
    assert_eq!(embed(&["in.fa", "-o", "out.tsv"]), Some(2));
    assert_eq!(embed(&["missing.fa", "-o", "out.parquet"]), Some(66));
    assert!(!folder.path().join("out.parquet").exists());
}
