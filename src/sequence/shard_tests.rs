//! The union of all shards is the whole dataset, whatever its form and wherever the cuts fall.

use super::tests::{bgzip, gzip, text_options, write, zstd};
use super::*;
use crate::storage::Storage;
use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow_array::{ArrayRef, BinaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Gzip,
    /// Blocks of so many bytes
    Bgzf(usize),
    Zstd,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        3 => Just(Form::Plain),
        1 => Just(Form::Gzip),
        4 => (1..40usize).prop_map(Form::Bgzf),
        1 => Just(Form::Zstd),
    ]
}

fn compress(bytes: &[u8], form: Form) -> Vec<u8> {
    match form {
        Form::Plain => bytes.to_vec(),
        Form::Gzip => gzip(bytes),
        Form::Bgzf(block) => bgzip(bytes, block),
        Form::Zstd => zstd(bytes),
    }
}

/// FASTA with blank lines, wrapped lines, `>` inside headers, either line end, and perhaps none at the end.
fn fasta() -> impl Strategy<Value = String> {
    let record = ("[a-z]{1,3}( ?[>a-z]{0,3}){0,2}", vec("[ACGUN]{0,9}", 0..4));
    (vec(record, 1..12), any::<bool>(), any::<bool>(), 0..3usize).prop_map(|(records, crlf, ended, blank)| {
        let mut text = "\n".repeat(blank);
        for (header, lines) in records {
            text += &format!(">{header}\n");
            lines.iter().for_each(|line| text += &format!("{line}\n"));
        }
        let text = if ended { text.as_str() } else { text.trim_end() };
        if crlf { text.replace('\n', "\r\n") } else { text.to_string() }
    })
}

fn lines() -> impl Strategy<Value = String> {
    let line = "[ACGU]{0,6}\r?";
    (vec(line, 0..20), any::<bool>())
        .prop_map(|(lines, ended)| format!("A\n{}{}", lines.join("\n"), if ended { "\n" } else { "" }))
}

fn assert_shards_add_up(
    files: &[Vec<u8>],
    options: &InputOptions,
    counts: &[u32],
) -> Result<(), TestCaseError> {
    let directory = TempDir::new().unwrap();
    let names: Vec<String> =
        files.iter().enumerate().map(|(index, bytes)| write(&directory, &index.to_string(), bytes)).collect();
    let dataset = Dataset::open(&Storage::from_env().unwrap(), &names, options).unwrap();
    let whole: Vec<Record> = dataset.records(None).collect::<Result<_, _>>().unwrap();
    prop_assert!(whole.is_sorted_by_key(|record| (record.source, record.position)));
    for &count in counts {
        let shards = (1..=count).flat_map(|index| dataset.records(Some(Shard { index, count })));
        let union: Vec<Record> = shards.collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&union, &whole, "{} shards", count);
    }
    for shard in [None, Some(Shard { index: 2, count: 3 })] {
        let part: Vec<Record> = dataset.records(shard).collect::<Result<_, _>>().unwrap();
        for at in (0..part.len()).step_by(3) {
            let last = Some((part[at].source, part[at].position));
            let rest: Vec<Record> = dataset.records_after(shard, last).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(&rest, &part[at + 1..], "after record {} of {:?}", at, shard);
        }
    }
    let Some(last) = whole.last() else { return Ok(()) };
    // Every so many, whether what lies between is gone through or passed over.
    for (far, step) in [(1, 1), (1, 2), (1, 5), (u64::MAX, 3)] {
        let mut records = dataset.records(None);
        records.far = far;
        for record in whole.iter().step_by(step) {
            let found = records.next_from(record.source, record.position).unwrap().unwrap();
            prop_assert_eq!(&found, record, "far {}, every {}", far, step);
        }
        prop_assert!(records.next_from(last.source, last.position + 1).is_none());
    }
    // From between two records on, all others follow.
    for (far, at) in [(1, whole.len() / 2), (u64::MAX, whole.len() / 3)] {
        let mut records = dataset.records(None);
        records.far = far;
        let before = &whole[at.saturating_sub(1)];
        let first = records.next_from(before.source, before.position + u64::from(at > 0)).unwrap().unwrap();
        let found: Vec<Record> = [Ok(first)].into_iter().chain(records).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&found[..], &whole[at..], "far {}, from {}", far, at);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shards_of_fasta_add_up(files in vec((fasta(), form()), 1..4), count in 2..40u32) {
        let files: Vec<_> = files.iter().map(|(text, form)| compress(text.as_bytes(), *form)).collect();
        assert_shards_add_up(&files, &InputOptions::default(), &[1, count, 200])?;
    }

    #[test]
    fn shards_of_text_add_up(files in vec((lines(), form()), 1..4), count in 2..40u32) {
        let files: Vec<_> = files.iter().map(|(text, form)| compress(text.as_bytes(), *form)).collect();
        assert_shards_add_up(&files, &text_options(), &[1, count])?;
    }

    #[test]
    fn shards_of_parquet_add_up(rows in vec(1..40usize, 1..3), group in 1..20usize, count in 2..60u32) {
        let files: Vec<_> = rows.iter().map(|&rows| {
            let ids: Vec<String> = (0..rows).map(|row| format!("r{row}")).collect();
            let sequences: Vec<String> = (0..rows).map(|row| "ACGU".repeat(row % 5)).collect();
            parquet_file(
                &[("id", Arc::new(StringArray::from(ids))), ("sequence", Arc::new(StringArray::from(sequences)))],
                group,
            )
        }).collect();
        assert_shards_add_up(&files, &InputOptions::default(), &[1, count])?;
    }
}

fn parquet_file(columns: &[(&str, ArrayRef)], group: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.iter().map(|(name, array)| (*name, array.clone(), true)),
    )
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn read_parquet(columns: &[(&str, ArrayRef)], options: &InputOptions) -> crate::error::Result<Vec<Record>> {
    let directory = TempDir::new().unwrap();
    super::tests::read(&[&write(&directory, "a.parquet", &parquet_file(columns, 2))], options)
}

#[test]
fn parquet_strings_and_bytes_of_every_kind_are_read() {
    let texts = ["AC", "acgu", ""];
    let strings: [ArrayRef; 4] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(BinaryArray::from(texts.map(str::as_bytes).to_vec())),
    ];
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x y", "y", "z"]));
    for sequences in strings {
        // The order of the columns in the file does not matter, nor do others.
        let columns = [("sequence", sequences.clone()), ("other", ids.clone()), ("id", ids.clone())];
        let records = read_parquet(&columns, &InputOptions::default()).unwrap();
        let found: Vec<_> =
            records.iter().map(|record| (record.position, record.header(), record.sequence())).collect();
        assert_eq!(found, [(0, &b"x y"[..], &b"AC"[..]), (1, b"y", b"acgu"), (2, b"z", b"")]);
    }
}

#[test]
fn parquet_faults_name_the_column_or_the_row() {
    let text = |values: [Option<&str>; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![1, 2]));
    let good = text([Some("a"), Some("b")]);
    let table = [
        (
            vec![("name", good.clone()), ("sequence", good.clone())],
            "no column `id` (--id-column); it has name, sequence",
        ),
        (vec![("id", numbers), ("sequence", good.clone())], "column `id` (--id-column) holds Int64"),
        (
            vec![("id", text([Some("a"), None])), ("sequence", good.clone())],
            "row 1 (counted from 0): a record without an id",
        ),
        (
            vec![("id", text([Some("a\nb"), Some("b")])), ("sequence", good.clone())],
            "row 0 (counted from 0): the id holds",
        ),
    ];
    for (columns, expected) in table {
        let message = read_parquet(&columns, &InputOptions::default()).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("a.parquet"), "{message}");
    }
    let options = InputOptions { id_column: "name".to_string(), ..InputOptions::default() };
    let columns = [("name", good.clone()), ("sequence", text([Some("AC"), None]))];
    assert_eq!(
        read_parquet(&columns, &options).unwrap()[1].sequence(),
        b"",
        "a null is a record without residues"
    );
}
