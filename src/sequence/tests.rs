//! Reading and writing datasets through files of every form, and the faults that they may have.

use super::*;
use crate::error::{Code, Error};
use crate::storage::{Location, Storage};
use noodles_bgzf as bgzf;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

pub(super) fn write(directory: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Blocks of at most `block` bytes.
pub(super) fn bgzip(bytes: &[u8], block: usize) -> Vec<u8> {
    let mut writer = bgzf::io::Writer::new(Vec::new());
    for part in bytes.chunks(block) {
        writer.write_all(part).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    // As the `zstd` program does.
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn text_options() -> InputOptions {
    InputOptions { input_format: InputFormat::Text, ..InputOptions::default() }
}

fn open(inputs: &[&str], options: &InputOptions) -> Result<Dataset, Error> {
    let inputs: Vec<String> = inputs.iter().map(|input| input.to_string()).collect();
    Dataset::open(&Storage::from_env().unwrap(), &inputs, options)
}

pub(super) fn read(inputs: &[&str], options: &InputOptions) -> Result<Vec<Record>, Error> {
    open(inputs, options)?.records(None).collect()
}

fn read_bytes(bytes: &[u8], options: &InputOptions) -> Result<Vec<Record>, Error> {
    let directory = TempDir::new().unwrap();
    read(&[&write(&directory, "input", bytes)], options)
}

/// (position, header, sequence) of each record.
fn parts(records: &[Record]) -> Vec<(u64, &str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    records.iter().map(|record| (record.position, text(record.header()), text(record.sequence()))).collect()
}

#[test]
fn fasta_of_every_shape_is_read_and_its_bytes_are_kept() {
    type Expected = &'static [(u64, &'static str, &'static str)];
    let table: &[(&str, Expected)] = &[
        (">a\nACGU\n>b\nGG\n", &[(0, "a", "ACGU"), (8, "b", "GG")]),
        (">a\nACGU\n>b\nGG", &[(0, "a", "ACGU"), (8, "b", "GG")]),
        (">a x\r\nAC\r\nGU\r\n>b\r\nGG\r\n", &[(0, "a x", "ACGU"), (14, "b", "GG")]),
        (">a\nac\ngu\n\n>b\nGG\n\n\n", &[(0, "a", "acgu"), (10, "b", "GG")]),
        ("\n\r\n>a\nAC\n", &[(3, "a", "AC")]),
        (">a>b\nAC\n>c >d\nGU\n", &[(0, "a>b", "AC"), (8, "c >d", "GU")]),
        (">a\n>b\n\n>c\nA\n>d", &[(0, "a", ""), (3, "b", ""), (7, "c", "A"), (12, "d", "")]),
        (">a\nA\n>d\n", &[(0, "a", "A"), (5, "d", "")]),
        (">a\nA\n>d\r\n", &[(0, "a", "A"), (5, "d", "")]),
        (">a\n A C \n", &[(0, "a", "A C")]),
    ];
    for (text, expected) in table {
        for (form, bytes) in [
            ("plain", text.as_bytes().to_vec()),
            ("gzip", gzip(text.as_bytes())),
            ("zstd", zstd(text.as_bytes())),
        ] {
            let records = read_bytes(&bytes, &InputOptions::default()).unwrap();
            assert_eq!(parts(&records), *expected, "{form} {text:?}");
            let raw: Vec<&[u8]> = records.iter().map(Record::raw).collect();
            let expected = text.trim_start_matches(['\r', '\n']);
            let expected = expected.strip_suffix('\n').unwrap_or(expected);
            assert_eq!(raw.join(&b'\n'), expected.as_bytes(), "{form} {text:?}");
        }
    }
}

#[test]
fn several_gzip_members_and_zstd_frames_are_one_content() {
    let (first, second) = (b">a\nAC".as_slice(), b"GU\n>b\nGG\n".as_slice());
    let expected: &[_] = &[(0, "a", "ACGU"), (8, "b", "GG")];
    for bytes in [[gzip(first), gzip(second)].concat(), [zstd(first), zstd(second)].concat()] {
        assert_eq!(parts(&read_bytes(&bytes, &InputOptions::default()).unwrap()), expected);
    }
}

#[test]
fn bgzf_positions_are_virtual_offsets() {
    let text = b">a\nACGU\n>b\nGG\n>c\nA\n";
    let file = bgzip(text, 8);
    let second_block = u64::from(u16::from_le_bytes([file[16], file[17]])) + 1;
    let records = read_bytes(&file, &InputOptions::default()).unwrap();
    let expected = [(0, "a", "ACGU"), (second_block << 16, "b", "GG"), ((second_block << 16) + 6, "c", "A")];
    assert_eq!(parts(&records), expected);
}

#[test]
fn text_ids_are_line_numbers_and_blank_lines_hold_no_record() {
    let text = b"ACGU\r\n\nGG \n\tA";
    let expected: &[_] = &[(0, "1", "ACGU"), (7, "3", "GG"), (11, "4", "A")];
    for bytes in [text.to_vec(), gzip(text), zstd(text)] {
        assert_eq!(parts(&read_bytes(&bytes, &text_options()).unwrap()), expected);
    }
    let records = read_bytes(&bgzip(text, 5), &text_options()).unwrap();
    assert_eq!(records[2].header(), b"4");
}

#[test]
fn headers_need_not_be_utf8() {
    let records = read_bytes(b">a\xff\xfe b\nACGU\n", &InputOptions::default()).unwrap();
    assert_eq!(records[0].id(), b"a\xff\xfe");
}

#[test]
fn records_longer_than_any_buffer_are_read() {
    let sequence = "ACGU".repeat(300_000);
    let wrapped: Vec<&str> =
        sequence.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = format!(">a\n{}\n>b\n{sequence}", wrapped.join("\n"));
    let records = read_bytes(text.as_bytes(), &InputOptions::default()).unwrap();
    assert!(records.iter().all(|record| record.sequence() == sequence.as_bytes()));
    assert_eq!(records.len(), 2);
}

#[test]
fn faulty_files_are_bad_input_that_says_what_is_wrong() {
    let fasta: Vec<u8> = (0..20_000).flat_map(|id| format!(">id{id}\nACGUACGUA\n").into_bytes()).collect();
    let cut = |bytes: Vec<u8>, end: usize| bytes[..bytes.len() - end].to_vec();
    let damaged = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8].fill(0);
        bytes
    };
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "is empty"),
        ("blank", b"\n \n".to_vec(), "holds no record"),
        ("gzip of nothing", gzip(b""), "holds no record"),
        ("not FASTA", b"ACGU\n".to_vec(), "--input-format text"),
        ("indented", b" >a\nAC\n".to_vec(), "not FASTA"),
        ("data first", b"\nACGU\n>a\nAC\n".to_vec(), "not FASTA"),
        ("FASTQ", b"@a\nAC\n+\nII\n".to_vec(), "FASTQ"),
        ("bzip2", b"BZh91AY&SY".to_vec(), "bzip2"),
        ("no id", b">a\nAC\n>\nAC\n".to_vec(), "without an id"),
        ("blank id", b"> a\nAC\n".to_vec(), "without an id"),
        ("cut gzip", cut(gzip(&fasta), 5), "was cut"),
        ("gzip cut in its last member", [gzip(&fasta), cut(gzip(&fasta), 9)].concat(), "was cut"),
        ("gzip cut in a later header", [gzip(&fasta), gzip(&fasta)[..5].to_vec()].concat(), "was cut"),
        ("cut zstd", cut(zstd(&fasta), 1), "was cut"),
        ("cut BGZF", cut(bgzip(&fasta, 60_000), 100), "no end marker"),
        ("BGZF without end marker", cut(bgzip(&fasta, 60_000), 28), "no end marker"),
        ("damaged gzip", damaged(gzip(&fasta)), "damaged"),
        ("damaged BGZF", damaged(bgzip(&fasta, 60_000)), "damaged"),
        ("damaged zstd", damaged(zstd(&fasta)), "damaged"),
        ("cut Parquet", b"PAR1aaaaaaaaaaa".to_vec(), "cut or damaged"),
        ("gzip of rubbish", [0x1f, 0x8b, 8, 0, 1, 2].to_vec(), "was cut"),
    ];
    for (name, bytes, expected) in table {
        let error = read_bytes(bytes, &InputOptions::default()).expect_err(name);
        assert_eq!(error.code, Code::BadInput, "{name}: {error}");
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains("input"), "{name}: {message}");
    }
}

#[test]
fn a_record_over_the_length_limit_is_refused_without_being_held() {
    let mut bytes = b">a\nAC\n>b\n".to_vec();
    bytes.resize(bytes.len() + MAX_RECORD_BYTES + 1, b'A');
    for (form, bytes, options) in
        [("FASTA", zstd(&bytes), InputOptions::default()), ("text", zstd(&bytes[8..]), text_options())]
    {
        let error = read_bytes(&bytes, &options).expect_err(form);
        assert_eq!(error.code, Code::BadInput);
        assert!(error.message.contains("longer than"), "{form}: {error}");
    }
}

#[test]
fn missing_and_repeated_inputs_are_refused() {
    let directory = TempDir::new().unwrap();
    let file = write(&directory, "a.fa", b">a\nAC\n");
    let missing = read(&["nowhere.fa"], &InputOptions::default()).unwrap_err();
    assert_eq!(missing.code, Code::InputNotFound);
    assert!(missing.message.contains("nowhere.fa"));
    let twice = read(&[&file, directory.path().to_str().unwrap()], &InputOptions::default()).unwrap_err();
    assert_eq!(twice.code, Code::Usage);
}

#[test]
fn recorded_sources_are_reopened_in_place_and_elsewhere_and_changes_are_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, options) = (Storage::from_env().unwrap(), InputOptions::default());
    let file = write(&directory, "a.fa", b">a\nAC\n");
    let dataset = open(&[&file], &options).unwrap();
    let recorded: Vec<Source> =
        serde_json::from_str(&serde_json::to_string(dataset.sources()).unwrap()).unwrap();
    assert_eq!(recorded, dataset.sources());

    let again = Dataset::from_sources(&storage, &recorded, &options).unwrap();
    assert_eq!(again.records(None).count(), 1);
    let moved = write(&directory, "b.fa", b">a\nAC\n");
    let elsewhere = Dataset::open_moved(&storage, std::slice::from_ref(&moved), &recorded, &options).unwrap();
    assert_eq!(elsewhere.sources()[0].uri.as_str(), moved);

    let other = write(&directory, "c.fa", b">a\nAG\n");
    write(&directory, "a.fa", b">a\nACG\n");
    for result in [
        Dataset::from_sources(&storage, &recorded, &options),
        Dataset::open_moved(&storage, &[file], &recorded, &options),
        Dataset::open_moved(&storage, &[other], &recorded, &options),
        Dataset::open_moved(
            &storage,
            &[moved.clone(), directory.path().join("a.fa").to_str().unwrap().into()],
            &recorded,
            &options,
        ),
    ] {
        assert_eq!(result.err().unwrap().code, Code::SourceChanged);
    }
    let stale = dataset.records(None).next().unwrap().unwrap_err();
    assert_eq!(stale.code, Code::SourceChanged);
}

#[test]
fn a_coreset_repeats_the_records_byte_for_byte_and_its_bytes_are_repeatable() {
    let directory = TempDir::new().unwrap();
    let text = b">a b\r\nAC\r\nGU\r\n>c\nacgu\n\n>d\nA\nC";
    let file = write(&directory, "a.fa", text);
    let storage = Storage::from_env().unwrap();
    let coreset = |name: &str| {
        let location = Location::local(directory.path().join(name)).unwrap();
        let mut writer = CoresetWriter::create(&storage, &location).unwrap();
        read(&[&file], &InputOptions::default())
            .unwrap()
            .iter()
            .for_each(|record| writer.write(record).unwrap());
        assert!(!Path::new(location.as_str()).exists(), "nothing is visible before the end");
        writer.finish().unwrap()
    };
    let (first, second) = (coreset("1.fa.gz"), coreset("2.fa.gz"));
    assert_eq!((first.size, &first.sha256), (second.size, &second.sha256));
    let dataset = open(&[first.location.as_str()], &InputOptions::default()).unwrap();
    assert_eq!(dataset.sources()[0].compression, Compression::Bgzf);
    let mut written = Vec::new();
    dataset.records(None).for_each(|record| record.unwrap().write_fasta(&mut written).unwrap());
    assert_eq!(written, [text.as_slice(), b"\n"].concat());
}

#[test]
fn a_record_describes_where_it_is() {
    let directory = TempDir::new().unwrap();
    let describe = |file: &str, options: &InputOptions| {
        let dataset = open(&[file], options).unwrap();
        dataset.records(None).last().unwrap().unwrap().describe(&dataset)
    };
    let fasta = write(&directory, "a.fa", b">a\nAC\n>b c\nGU\n");
    assert_eq!(describe(&fasta, &InputOptions::default()), format!("{fasta}, record `b` at byte 6"));
    let text = write(&directory, "a.txt", b"AC\n\nGU\n");
    assert_eq!(describe(&text, &text_options()), format!("{text}, line 3"));
}
