//! Sequences into tokens: a vocabulary for each model family, and which tokens count as residues.

mod bert;
mod esm;
mod rna;
mod roberta;

pub use bert::bert;
pub use esm::{esm2, esmc};
pub use rna::{multimolecule_rna, rna_fm, rna_fm_as_published};
pub use roberta::roberta;

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fmt;

/// The letters of the twenty amino acids.
const AMINO_ACIDS: &str = "ACDEFGHIKLMNPQRSTVWY";

/// What a sequence is a chain of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// RNA or DNA.
    Nucleotides,
    /// Protein.
    AminoAcids,
}

/// What a family does with a byte of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteClass {
    /// Becomes this token; over k-mers, the letter of the token that its bytes make.
    Token(u16),
    /// Ignored: white space.
    Skip,
    /// Not part of the family's alphabet.
    Illegal,
}

/// A model family's vocabulary and the way sequences become tokens.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub family: &'static str,
    pub alphabet: Alphabet,
    /// Token texts by id.
    pub vocabulary: Vec<String>,
    pub cls: u32,
    pub eos: u32,
    pub pad: u32,
    pub mask: u32,
    /// What a person is told is allowed.
    allowed: String,
    classes: [ByteClass; 256],
    /// Overlapping k-mers in place of letters: ids by their bytes, and k.
    kmers: Option<(HashMap<Vec<u8>, u32>, usize)>,
    /// A record that is too long loses `<eos>`, and not the residue that `<eos>` would displace.
    cuts_eos: bool,
    /// By token id: whether it stands for one definite residue, so that masked-lm may mask and score it.
    definite: Vec<bool>,
}

/// The special tokens' texts.
struct Special {
    cls: &'static str,
    eos: &'static str,
    pad: &'static str,
    mask: &'static str,
}

/// fairseq's and esm's spelling.
const ANGLED: Special = Special { cls: "<cls>", eos: "<eos>", pad: "<pad>", mask: "<mask>" };

/// The tokens of one record: `<cls>`, residues, `<eos>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub ids: Vec<u32>,
    /// Residues of the record as given, before any truncation.
    pub residues: u32,
    pub truncated: bool,
}

/// A byte that the alphabet does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalByte {
    pub byte: u8,
    /// Counted from 1 within the sequence.
    pub residue: u64,
}

impl Tokenizer {
    /// A tokenizer whose tokens are single letters, of either case: those of the vocabulary, and for letters that it
    /// lacks `synonyms` among its tokens.
    fn of_letters(
        family: &'static str,
        alphabet: Alphabet,
        vocabulary: Vec<String>,
        special: &Special,
        synonyms: &[(u8, &str)],
    ) -> Result<Self> {
        let id = |text: &str| vocabulary.iter().position(|token| token == text).map(|id| id as u16);
        let special_id = |text: &str| {
            id(text).map(u32::from).ok_or_else(|| {
                Error::model(format!(
                    "the vocabulary of {family} lacks {text}: it has {}",
                    vocabulary.join(" ")
                ))
            })
        };
        let mut classes = [ByteClass::Illegal; 256];
        let mut told = String::new();
        for (byte, text) in synonyms {
            if let (Some(token), None) = (id(text), id(&(*byte as char).to_string())) {
                assign(&mut classes, *byte, token);
                told.push_str(&format!(", {} reads as {text}", *byte as char));
            }
        }
        let letters = vocabulary.iter().enumerate().filter(|(_, text)| text.len() == 1);
        for (id, letter) in letters.clone() {
            assign(&mut classes, letter.as_bytes()[0], id as u16);
        }
        for blank in *b" \t\r\n" {
            classes[blank as usize] = ByteClass::Skip;
        }
        let definite_letters = match alphabet {
            Alphabet::Nucleotides => "ACGTU",
            Alphabet::AminoAcids => AMINO_ACIDS,
        };
        let definite =
            vocabulary.iter().map(|text| text.len() == 1 && definite_letters.contains(text.as_str()));
        Ok(Tokenizer {
            family,
            alphabet,
            cls: special_id(special.cls)?,
            eos: special_id(special.eos)?,
            pad: special_id(special.pad)?,
            mask: special_id(special.mask)?,
            allowed: format!(
                "{} in either case{told}",
                letters.map(|(_, letter)| letter.as_str()).collect::<Vec<_>>().join(" ")
            ),
            classes,
            kmers: None,
            cuts_eos: false,
            definite: definite.collect(),
            vocabulary,
        })
    }

    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether the token stands for one definite residue (not a special token, gap or ambiguity code).
    pub fn is_definite(&self, token: u32) -> bool {
        self.definite.get(token as usize).copied().unwrap_or(false)
    }

    /// Tokens of a sequence, `max_tokens` at most with the special ones; longer ones keep their first residues.
    pub fn encode(&self, sequence: &[u8], max_tokens: usize) -> std::result::Result<Tokens, IllegalByte> {
        let (mut ids, residues) = self.all(sequence)?;
        let truncated = ids.len() + 1 > max_tokens;
        ids.truncate(if self.cuts_eos { max_tokens } else { max_tokens - 1 });
        if ids.len() < max_tokens {
            ids.push(self.eos);
        }
        Ok(Tokens { ids, residues, truncated })
    }

    /// `<cls>` and the whole sequence, and the number of residues.
    fn all(&self, sequence: &[u8]) -> std::result::Result<(Vec<u32>, u32), IllegalByte> {
        let mut ids = Vec::with_capacity(sequence.len() + 2);
        ids.push(self.cls);
        for byte in sequence {
            match self.classes[*byte as usize] {
                ByteClass::Token(token) => ids.push(u32::from(token)),
                ByteClass::Skip => {}
                ByteClass::Illegal => return Err(IllegalByte { byte: *byte, residue: ids.len() as u64 }),
            }
        }
        let residues = ids.len() as u32 - 1;
        if let Some((kmers, k)) = &self.kmers {
            // Over k-mers the letters' ids are their bytes, until here.
            let letters: Vec<u8> = ids[1..].iter().map(|id| *id as u8).collect();
            ids.truncate(1);
            ids.extend(letters.windows(*k).map(|window| kmers[window]));
        }
        Ok((ids, residues))
    }

    /// The message for an illegal byte in the record that `record` describes.
    pub fn illegal(&self, record: &str, illegal: IllegalByte) -> Error {
        let shown = match illegal.byte {
            byte @ b'!'..=b'~' => format!("{:?}", byte as char),
            byte => format!("byte 0x{byte:02x}"),
        };
        Error::bad_input(format!(
            "{record}: residue {} is {shown}, and the model {} reads {}; allowed are {} (--on-illegal skip leaves such \
             records out)",
            illegal.residue, self.family, self.alphabet, self.allowed
        ))
    }
}

impl fmt::Display for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Alphabet::Nucleotides => "RNA",
            Alphabet::AminoAcids => "proteins",
        })
    }
}

/// Gives a letter of either case its token.
fn assign(classes: &mut [ByteClass; 256], letter: u8, token: u16) {
    for byte in [letter.to_ascii_uppercase(), letter.to_ascii_lowercase()] {
        classes[byte as usize] = ByteClass::Token(token);
    }
}

fn owned(vocabulary: &[&str]) -> Vec<String> {
    vocabulary.iter().map(|text| text.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every table test says: a sequence, and its tokens without the special ones.
    pub(super) fn check(tokenizer: &Tokenizer, table: &[(&str, &[u32])]) {
        for (sequence, ids) in table {
            let found = tokenizer.encode(sequence.as_bytes(), 1024).unwrap();
            let expected: Vec<u32> =
                [&[tokenizer.cls], *ids, &[tokenizer.eos]].into_iter().flatten().copied().collect();
            assert_eq!(found.ids, expected, "{} of {sequence:?}", tokenizer.family);
        }
    }

    pub(super) fn check_illegal(tokenizer: &Tokenizer, table: &[(&[u8], u8, u64)]) {
        for (sequence, byte, residue) in table {
            let illegal = IllegalByte { byte: *byte, residue: *residue };
            assert_eq!(tokenizer.encode(sequence, 1024), Err(illegal), "{}", tokenizer.family);
        }
    }

    #[test]
    fn an_illegal_letter_is_named_with_what_is_allowed() {
        let message = rna_fm().illegal("x.fa, record `a`", IllegalByte { byte: b'E', residue: 3 }).message;
        for part in ["x.fa", "residue 3", "'E'", "RNA", "A C G U", "T reads as U"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn long_sequences_keep_their_first_residues_and_say_so() {
        let tokens = rna_fm().encode(b"ACGUACGU", 6).unwrap();
        assert_eq!(tokens, Tokens { ids: vec![0, 4, 5, 6, 7, 2], residues: 8, truncated: true });
        assert!(!rna_fm().encode(b"ACGU", 6).unwrap().truncated);
        let cut = rna_fm_as_published().encode(b"ACGUACGU", 6).unwrap();
        assert_eq!(cut, Tokens { ids: vec![0, 4, 5, 6, 7, 4], residues: 8, truncated: true });
        assert_eq!(rna_fm_as_published().encode(b"ACGU", 6), rna_fm().encode(b"ACGU", 6));
    }
}
