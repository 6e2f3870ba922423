//! BERT's vocabularies, from a `vocab.txt`: single letters (ProtBert, AntiBERTy), or overlapping k-mers of bases
//! (DNABERT's form).

use super::{AMINO_ACIDS, Alphabet, Special, Tokenizer, assign};
use crate::error::{Error, Result};
use std::collections::HashMap;

const SPECIAL: Special = Special { cls: "[CLS]", eos: "[SEP]", pad: "[PAD]", mask: "[MASK]" };
const BASES: [u8; 4] = *b"ACGT";

/// Tokens in the order of `vocabulary`, separated by blanks.
pub fn bert(vocabulary: &str) -> Result<Tokenizer> {
    let vocabulary: Vec<String> = vocabulary.split_whitespace().map(str::to_string).collect();
    let has = |letter: char| vocabulary.iter().any(|text| text.chars().eq([letter]));
    if AMINO_ACIDS.chars().all(has) {
        // Protein vocabularies differ in the rare letters: those that one lacks are unknown to it.
        let unknown = [b'X', b'B', b'U', b'Z', b'O', b'J', b'*', b'-', b'.'].map(|byte| (byte, "[UNK]"));
        return Tokenizer::of_letters("bert", Alphabet::AminoAcids, vocabulary, &SPECIAL, &unknown);
    }
    if BASES.iter().all(|base| has(*base as char)) {
        let synonyms = [(b'U', "T")];
        return Tokenizer::of_letters("bert", Alphabet::Nucleotides, vocabulary, &SPECIAL, &synonyms);
    }
    of_kmers(vocabulary)
}

/// Every window of k bases is a token, so that n bases make n - k + 1 of them.
fn of_kmers(vocabulary: Vec<String>) -> Result<Tokenizer> {
    let of_bases = |text: &String| !text.is_empty() && text.bytes().all(|byte| BASES.contains(&byte));
    let kmers: HashMap<Vec<u8>, u32> = vocabulary
        .iter()
        .enumerate()
        .filter(|(_, text)| of_bases(text))
        .map(|(id, text)| (text.clone().into_bytes(), id as u32))
        .collect();
    let k = kmers.keys().map(Vec::len).max().unwrap_or(0);
    if k == 0 || k > 8 || kmers.len() != 4usize.pow(k as u32) {
        return Err(Error::model(format!(
            "vocab.txt holds {} tokens: allowed are the 20 amino acids, the bases A C G T, or all k-mers of bases for one k \
             up to 8",
            vocabulary.len()
        )));
    }
    let definite = vocabulary.iter().map(of_bases).collect();
    let mut tokenizer = Tokenizer::of_letters("bert", Alphabet::Nucleotides, vocabulary, &SPECIAL, &[])?;
    for (byte, base) in [(b'A', b'A'), (b'C', b'C'), (b'G', b'G'), (b'T', b'T'), (b'U', b'T')] {
        assign(&mut tokenizer.classes, byte, u16::from(base));
    }
    tokenizer.allowed = format!("A C G T in either case, U reads as T; tokens are overlapping {k}-mers");
    tokenizer.definite = definite;
    tokenizer.kmers = Some((kmers, k));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_illegal};
    use super::*;

    #[test]
    fn protein_letters_follow_the_vocabulary() {
        let prot_bert = "[PAD] [UNK] [CLS] [SEP] [MASK] L A G V S E R T I D P K Q N F Y M H W C X U B Z O";
        let tokenizer = bert(prot_bert).unwrap();
        check(
            &tokenizer,
            &[("LAG", &[5, 6, 7]), ("m kx", &[21, 16, 25]), ("UBZOJ*", &[26, 27, 28, 29, 1, 1])],
        );
        check_illegal(&tokenizer, &[(b"M7", b'7', 2)]);
        let antiberty = "[PAD] [UNK] [CLS] [SEP] [MASK] A C D E F G H I K L M N P Q R S T V W Y";
        check(&bert(antiberty).unwrap(), &[("ACX", &[5, 6, 1])]);
    }

    #[test]
    fn k_mers_overlap() {
        let kmers = |k: u32| -> String {
            let all = (0..4usize.pow(k)).map(|index| {
                (0..k).rev().map(|at| BASES[index / 4usize.pow(at) % 4] as char).collect::<String>()
            });
            format!("[PAD] [UNK] [CLS] [SEP] [MASK] {}", all.collect::<Vec<_>>().join(" "))
        };
        let tokenizer = bert(&kmers(3)).unwrap();
        // AAA is 5; a window's id counts on in base 4.
        check(&tokenizer, &[("AAAC", &[5, 6]), ("uuu", &[68]), ("AC", &[]), ("ACGT", &[11, 32])]);
        check_illegal(&tokenizer, &[(b"ACN", b'N', 3)]);
        assert_eq!(tokenizer.encode(b"ACGT", 64).unwrap().residues, 4);
        assert!(tokenizer.is_definite(5) && !tokenizer.is_definite(2));
    }

    #[test]
    fn other_vocabularies_are_refused() {
        assert!(bert("[PAD] [UNK] [CLS] [SEP] [MASK] the of and").is_err());
        assert!(bert("[PAD] [UNK] [CLS] [SEP] [MASK] AA AC").is_err());
    }
}
