//! What the data are by their letters: which of the bundled models fits (`--model auto`), and whether a model fits.
//!
//! Both look at the first records of the dataset, not of a shard, so that all shards score under one model.

use crate::error::{Error, Result};
use crate::sequence::{Dataset, Record};
use crate::tokenizer::Alphabet;

/// The model that stands for a choice by the data.
pub const AUTO: &str = "auto";
pub(super) const FOR_RNA: &str = "rna-nano";
const FOR_PROTEIN: &str = "protein-nano";

/// Records that are looked at.
const RECORDS: usize = 1000;
/// Shorter records count as RNA only where none is protein: a peptide may well be spelt like RNA.
const SHORT: usize = 12;
/// Share of A, C, G, T, U and N from which letters that are codes of nucleotides are taken as such.
const PLAIN: f64 = 0.8;

/// What a record's letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nucleotides,
    ShortNucleotides,
    Protein,
    /// Neither, or not plainly one of them
    Unclear,
}

/// The first record of each kind among the first records of a dataset.
#[derive(Default)]
struct Survey {
    rna: Option<Record>,
    short: Option<Record>,
    protein: Option<Record>,
    /// Records that were looked at.
    seen: usize,
}

impl Survey {
    fn of(dataset: &Dataset) -> Result<Self> {
        let mut survey = Survey::default();
        for record in dataset.records(None).take(RECORDS) {
            let record = record?;
            survey.seen += 1;
            let first = match kind(record.sequence()) {
                Kind::Nucleotides => &mut survey.rna,
                Kind::ShortNucleotides => &mut survey.short,
                Kind::Protein => &mut survey.protein,
                Kind::Unclear => continue,
            };
            first.get_or_insert(record);
        }
        Ok(survey)
    }
}

/// Refuses data that a model would read as something else: RNA is spelt in letters that amino acids have too.
///
/// # Errors
/// `BadInput` where the first records are RNA and the model reads proteins, or the other way round.
pub(super) fn check_kind(dataset: &Dataset, model: &str, alphabet: Alphabet) -> Result<()> {
    let survey = Survey::of(dataset)?;
    let (other, kind) = match (alphabet, &survey.rna, &survey.protein) {
        (Alphabet::AminoAcids, Some(rna), None) => (rna, "RNA or DNA"),
        (Alphabet::Nucleotides, None, Some(protein)) => (protein, "protein"),
        _ => return Ok(()),
    };
    Err(Error::bad_input(format!(
        "{} reads as {kind}, and so do the first {} records where they are plain; the model {model} reads {alphabet}",
        other.describe(dataset),
        survey.seen
    )))
}

/// The name of the model for a dataset.
///
/// # Errors
/// `BadInput` where the first records are a mix, or neither plainly RNA nor protein.
pub(super) fn choose(dataset: &Dataset) -> Result<&'static str> {
    let Survey { rna, short, protein, seen } = Survey::of(dataset)?;
    let decide = format!("--model {FOR_RNA} or --model {FOR_PROTEIN} decides");
    let (model, by) = match (&rna, &protein, &short) {
        (Some(rna), None, _) | (None, None, Some(rna)) => (FOR_RNA, rna),
        (None, Some(protein), _) => (FOR_PROTEIN, protein),
        (Some(rna), Some(protein), _) => {
            let describe = |record: &Record| record.describe(dataset);
            return Err(Error::bad_input(format!(
                "RNA and protein are mixed: {} reads as RNA, {} as protein; {decide}",
                describe(rna),
                describe(protein)
            )));
        }
        (None, None, None) => {
            return Err(Error::bad_input(format!(
                "none of the first {seen} records of {} is plainly RNA or protein by its letters; {decide}",
                dataset.sources().first().map(|source| source.uri.to_string()).unwrap_or_default()
            )));
        }
    };
    log::info!("model {model}, by the letters of the first {seen} records, as in {}", by.describe(dataset));
    Ok(model)
}

fn kind(sequence: &[u8]) -> Kind {
    let (mut letters, mut plain, mut codes, mut residues) = (0, 0, 0, 0);
    for byte in sequence.iter().map(u8::to_ascii_uppercase) {
        match byte {
            b'-' | b'.' | b'*' | b' ' | b'\t' | b'\r' | b'\n' => continue,
            // U is selenocysteine too, as rare in proteins as it is frequent in RNA.
            b'A' | b'C' | b'G' | b'T' | b'U' | b'N' => {
                (plain, codes, residues) = (plain + 1, codes + 1, residues + 1);
            }
            b'R' | b'Y' | b'K' | b'M' | b'S' | b'W' | b'B' | b'D' | b'H' | b'V' | b'X' => {
                (codes, residues) = (codes + 1, residues + 1);
            }
            b'E' | b'F' | b'I' | b'L' | b'O' | b'P' | b'Q' | b'Z' => residues += 1,
            _ => {}
        }
        letters += 1;
    }
    match letters {
        0 => Kind::Unclear,
        _ if residues < letters => Kind::Unclear,
        _ if codes < letters => Kind::Protein,
        _ if (plain as f64) < PLAIN * letters as f64 => Kind::Unclear,
        _ if letters < SHORT => Kind::ShortNucleotides,
        _ => Kind::Nucleotides,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::InputOptions;
    use crate::storage::Storage;

    #[test]
    fn letters_tell_rna_from_protein_or_nothing() {
        for (sequence, expected) in [
            ("ACGUACGUACGU", Kind::Nucleotides),
            ("acgtnnacgtRY", Kind::Nucleotides),
            ("ACGUAC-ACGUAC..", Kind::Nucleotides),
            ("MKVLAAGIVGLL", Kind::Protein),
            ("ACDEFGHIKLMNPQRSTVWY", Kind::Protein),
            ("MSEQU*FX", Kind::Protein),
            ("ACGU", Kind::ShortNucleotides),
            ("MEEP", Kind::Protein),
            // A peptide of letters that are all codes of nucleotides too.
            ("MKVRSSHWDKVMRS", Kind::Unclear),
            ("ACGU1234ACGU", Kind::Unclear),
            ("JJJJJJJJJJ", Kind::Unclear),
            ("", Kind::Unclear),
        ] {
            assert_eq!(kind(sequence.as_bytes()), expected, "{sequence}");
        }
    }

    fn with_dataset<T>(fasta: &str, look: impl Fn(&Dataset) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fa");
        std::fs::write(&path, fasta).unwrap();
        let inputs = [path.to_str().unwrap().to_string()];
        look(&Dataset::open(&Storage::from_env().unwrap(), &inputs, &InputOptions::default()).unwrap())
    }

    fn chosen(fasta: &str) -> Result<&'static str> {
        with_dataset(fasta, choose)
    }

    #[test]
    fn a_model_of_the_other_kind_is_refused_and_unclear_data_are_not() {
        let refused = |fasta: &str, alphabet| {
            with_dataset(fasta, |dataset| check_kind(dataset, "m", alphabet)).err().map(|error| error.message)
        };
        let (rna, protein) = (">a\nACGUACGUACGU\n", ">p\nMKVLAAGIVG\n");
        let message = refused(rna, Alphabet::AminoAcids).unwrap();
        assert!(
            message.contains("`a`") && message.contains("RNA") && message.contains("proteins"),
            "{message}"
        );
        assert!(refused(protein, Alphabet::Nucleotides).unwrap().contains("`p`"));
        for (fasta, alphabet) in [
            (rna, Alphabet::Nucleotides),
            (protein, Alphabet::AminoAcids),
            (">s\nACG\n", Alphabet::AminoAcids),
            (&format!("{rna}{protein}"), Alphabet::AminoAcids),
        ] {
            assert_eq!(refused(fasta, alphabet), None, "{fasta}");
        }
    }

    #[test]
    fn a_dataset_of_one_kind_has_its_model_and_a_mix_is_refused() {
        assert_eq!(chosen(">a\nACGUACGUACGU\n>b\nACG\n").unwrap(), FOR_RNA);
        assert_eq!(chosen(">a\nACG\n").unwrap(), FOR_RNA);
        assert_eq!(chosen(">a\nACG\n>b\nMEEP\n").unwrap(), FOR_PROTEIN);
        assert_eq!(chosen(">a\nMKVLAAGIVG\n>b\nMKVRSSHWDKVMRS\n").unwrap(), FOR_PROTEIN);
        let mix = chosen(">a\nACGUACGUACGU\n>p\nMKVLAAGIVG\n").unwrap_err().message;
        assert!(mix.contains("`a`") && mix.contains("`p`") && mix.contains("--model"), "{mix}");
        let neither = chosen(">a\nMKVRSSHWDKVMRS\n>b\nJJJ\n").unwrap_err().message;
        assert!(neither.contains("first 2 records") && neither.contains("protein-nano"), "{neither}");
    }
}
