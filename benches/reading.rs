//! Reading FASTA: owned records of a dataset, next to needletail's own loop over borrowed ones.
//!
//! `cargo bench --bench reading`. Rates are of decompressed content.

use bioprune::sequence::{CoresetWriter, Dataset, InputOptions};
use bioprune::storage::{Location, Storage};
use divan::Bencher;
use divan::counter::BytesCount;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use needletail::parser::{FastaReader, FastxReader};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

const CONTENT_BYTES: usize = 256 << 20;

fn main() {
    divan::main();
}

struct Inputs {
    _directory: TempDir,
    plain: PathBuf,
    wrapped: PathBuf,
    gzip: PathBuf,
    bgzf: PathBuf,
}

static INPUTS: LazyLock<Inputs> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let content = fasta(usize::MAX);
    std::fs::write(path("plain.fa"), &content).unwrap();
    std::fs::write(path("wrapped.fa"), fasta(60)).unwrap();
    let mut encoder = GzEncoder::new(File::create(path("gzip.fa.gz")).unwrap(), Compression::fast());
    encoder.write_all(&content).unwrap();
    encoder.finish().unwrap();
    let storage = Storage::from_env().unwrap();
    let mut writer = CoresetWriter::create(&storage, &Location::local(path("bgzf.fa.gz")).unwrap()).unwrap();
    open(&storage, &path("plain.fa"))
        .records(None)
        .for_each(|record| writer.write(&record.unwrap()).unwrap());
    writer.finish().unwrap();
    let [plain, wrapped] = ["plain.fa", "wrapped.fa"].map(path);
    let [gzip, bgzf] = ["gzip.fa.gz", "bgzf.fa.gz"].map(path);
    Inputs { plain, wrapped, gzip, bgzf, _directory: directory }
});

/// Records of 60 to 315 residues, 190 on average, as in RNA sets, in lines of at most `width`.
fn fasta(width: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(CONTENT_BYTES + 1024);
    let mut state = 1u64;
    for id in 0.. {
        if content.len() >= CONTENT_BYTES {
            break;
        }
        content.extend_from_slice(format!(">URS{id:010} a synthetic RNA\n").as_bytes());
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = 60 + (state >> 56) as usize;
        for at in 0..length {
            if at > 0 && at % width == 0 {
                content.push(b'\n');
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            content.push(b"ACGU"[(state >> 62) as usize]);
        }
        content.push(b'\n');
    }
    content
}

fn open(storage: &Storage, path: &std::path::Path) -> Dataset {
    Dataset::open(storage, &[path.to_str().unwrap().to_string()], &InputOptions::default()).unwrap()
}

fn read_dataset(bencher: Bencher, path: &std::path::Path) {
    let dataset = open(&Storage::from_env().unwrap(), path);
    bencher
        .counter(BytesCount::new(CONTENT_BYTES))
        .bench_local(|| dataset.records(None).map(|record| record.unwrap().sequence().len()).sum::<usize>());
}

fn read_needletail(bencher: Bencher, open: impl Fn() -> Box<dyn Read + Send>) {
    bencher.counter(BytesCount::new(CONTENT_BYTES)).bench_local(|| {
        let mut reader = FastaReader::new(open());
        let mut residues = 0;
        while let Some(record) = reader.next() {
            residues += record.unwrap().seq().len();
        }
        residues
    });
}

#[divan::bench_group(sample_count = 5, sample_size = 1)]
mod plain {
    use super::*;

    #[divan::bench]
    fn bioprune(bencher: Bencher) {
        read_dataset(bencher, &INPUTS.plain);
    }

    #[divan::bench]
    fn needletail(bencher: Bencher) {
        read_needletail(bencher, || Box::new(File::open(&INPUTS.plain).unwrap()));
    }
}

#[divan::bench_group(sample_count = 5, sample_size = 1)]
mod wrapped {
    use super::*;

    #[divan::bench]
    fn bioprune(bencher: Bencher) {
        read_dataset(bencher, &INPUTS.wrapped);
    }

    #[divan::bench]
    fn needletail(bencher: Bencher) {
        read_needletail(bencher, || Box::new(File::open(&INPUTS.wrapped).unwrap()));
    }
}

#[divan::bench_group(sample_count = 5, sample_size = 1)]
mod gzip {
    use super::*;

    #[divan::bench]
    fn bioprune(bencher: Bencher) {
        read_dataset(bencher, &INPUTS.gzip);
    }

    #[divan::bench]
    fn needletail(bencher: Bencher) {
        let open = || BufReader::with_capacity(256 << 10, File::open(&INPUTS.gzip).unwrap());
        read_needletail(bencher, || Box::new(MultiGzDecoder::new(open())));
    }
}

#[divan::bench_group(sample_count = 5, sample_size = 1)]
mod bgzf {
    use super::*;

    #[divan::bench]
    fn bioprune(bencher: Bencher) {
        read_dataset(bencher, &INPUTS.bgzf);
    }

    #[divan::bench]
    fn needletail(bencher: Bencher) {
        let open = || noodles_bgzf::io::Reader::new(File::open(&INPUTS.bgzf).unwrap());
        read_needletail(bencher, || Box::new(open()));
    }
}
