//! RNA vocabularies: the official RNA-FM package's, and multimolecule's.
//!
//! The official package is case-sensitive and reads T as `<unk>`; bioprune reads T as U and lower case as upper
//! case, since files hold both and mean the same (multimolecule does so too).

use super::{ANGLED, Alphabet, ByteClass, Tokenizer, owned};

const RNA_FM: [&str; 25] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "A", "C", "G", "U", "R", "Y", "K", "M", "S", "W", "B", "D", "H", "V",
    "N", "-", "<null_1>", "<null_2>", "<null_3>", "<null_4>", "<mask>",
];

const MULTIMOLECULE: [&str; 28] = [
    "<pad>", "<cls>", "<eos>", "<unk>", "<mask>", "<null>", "A", "C", "G", "U", "N", "R", "Y", "S", "W", "K",
    "M", "B", "D", "H", "V", "I", "X", "|", ".", "*", "-", "?",
];

/// `<unk>` in either.
const UNKNOWN: usize = 3;

/// RNA-FM's 25 tokens.
pub fn rna_fm() -> Tokenizer {
    let synonyms = [(b'T', "U"), (b'.', "-"), (b'X', "N")];
    Tokenizer::of_letters("rna-fm", Alphabet::Nucleotides, owned(&RNA_FM), &ANGLED, &synonyms)
        .expect("the vocabulary above holds the special tokens")
}

/// RNA-FM's tokens as the published pruning program draws them: no letter is read as another, all but the
/// vocabulary's own are `<unk>`, and a record that is too long loses `<eos>`.
pub fn rna_fm_as_published() -> Tokenizer {
    let mut tokenizer = rna_fm();
    tokenizer.cuts_eos = true;
    tokenizer.allowed = "all letters".into();
    for byte in (b'!'..=b'~').filter(|byte| *byte != b'>') {
        let own = RNA_FM.iter().position(|text| text.as_bytes() == [byte]);
        tokenizer.classes[byte as usize] = ByteClass::Token(own.unwrap_or(UNKNOWN) as u16);
    }
    tokenizer
}

/// The 28 tokens of multimolecule's RNA models.
pub fn multimolecule_rna() -> Tokenizer {
    let vocabulary = owned(&MULTIMOLECULE);
    Tokenizer::of_letters("rna-fm", Alphabet::Nucleotides, vocabulary, &ANGLED, &[(b'T', "U")])
        .expect("the vocabulary above holds the special tokens")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_illegal};
    use super::*;

    #[test]
    fn rna_fm_reads_both_cases_t_as_u_and_the_iupac_codes() {
        check(
            &rna_fm(),
            &[
                ("ACGU", &[4, 5, 6, 7]),
                ("acgu", &[4, 5, 6, 7]),
                ("TtUu", &[7, 7, 7, 7]),
                ("RYKMSWBDHVN-", &[8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
                (".Xx", &[19, 18, 18]),
                ("A C\tG", &[4, 5, 6]),
                ("", &[]),
            ],
        );
        check_illegal(
            &rna_fm(),
            &[(b"ACE", b'E', 3), (b"*", b'*', 1), (b"A\xff", 0xff, 2), (b"MKLV", b'L', 3)],
        );
    }

    #[test]
    fn the_published_program_reads_letters_as_they_are() {
        check(&rna_fm_as_published(), &[("ACGUN-", &[4, 5, 6, 7, 18, 19]), ("acgTX.", &[3, 3, 3, 3, 3, 3])]);
        check_illegal(&rna_fm_as_published(), &[(b"A\xff", 0xff, 2)]);
    }

    #[test]
    fn multimolecule_has_letters_of_its_own() {
        check(
            &multimolecule_rna(),
            &[("ACGUN", &[6, 7, 8, 9, 10]), ("tI", &[9, 21]), ("X|.*-?", &[22, 23, 24, 25, 26, 27])],
        );
        check_illegal(&multimolecule_rna(), &[(b"ACE", b'E', 3), (b"AL", b'L', 2)]);
    }

    #[test]
    fn only_the_four_bases_are_definite() {
        let definite = |tokenizer: Tokenizer| -> Vec<u32> {
            (0..tokenizer.vocabulary_size() as u32).filter(|id| tokenizer.is_definite(*id)).collect()
        };
        assert_eq!(definite(rna_fm()), [4, 5, 6, 7]);
        assert_eq!(definite(multimolecule_rna()), [6, 7, 8, 9]);
    }
}
