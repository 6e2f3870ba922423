//! Sequences into tokens: a vocabulary for each model family, and which tokens count as residues.

mod rna_fm;

pub use rna_fm::rna_fm;

use crate::error::{Error, Result};

/// What a family does with a byte of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteClass {
    /// Becomes this token.
    Token(u8),
    /// Ignored: white space.
    Skip,
    /// Not part of the family's alphabet.
    Illegal,
}

/// A model family's vocabulary and the way sequences become tokens.
#[derive(Clone)]
pub struct Tokenizer {
    pub family: &'static str,
    /// Token texts by id.
    pub vocabulary: &'static [&'static str],
    pub cls: u32,
    pub eos: u32,
    pub pad: u32,
    pub mask: u32,
    /// What a person is told is allowed.
    pub alphabet: &'static str,
    classes: [ByteClass; 256],
    /// By token id: whether it stands for one definite residue, so that masked-lm may mask and score it.
    definite: Vec<bool>,
}

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
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether the token stands for one definite residue (not a special token, gap or ambiguity code).
    pub fn is_definite(&self, token: u32) -> bool {
        self.definite.get(token as usize).copied().unwrap_or(false)
    }

    /// Tokens of a sequence, `max_tokens` at most with the special ones; longer ones keep their first residues.
    pub fn encode(&self, sequence: &[u8], max_tokens: usize) -> std::result::Result<Tokens, IllegalByte> {
        let mut ids = Vec::with_capacity(sequence.len() + 2);
        ids.push(self.cls);
        for byte in sequence {
            match self.classes[*byte as usize] {
                ByteClass::Token(token) => ids.push(token as u32),
                ByteClass::Skip => {}
                ByteClass::Illegal => return Err(IllegalByte { byte: *byte, residue: ids.len() as u64 }),
            }
        }
        let residues = ids.len() - 1;
        let truncated = residues + 2 > max_tokens;
        ids.truncate(max_tokens - 1);
        ids.push(self.eos);
        Ok(Tokens { ids, residues: residues as u32, truncated })
    }

    /// The message for an illegal byte in the record that `record` describes.
    pub fn illegal(&self, record: &str, illegal: IllegalByte) -> Error {
        let shown = match illegal.byte {
            byte @ b'!'..=b'~' => format!("{:?}", byte as char),
            byte => format!("byte 0x{byte:02x}"),
        };
        Error::bad_input(format!(
            "{record}: residue {} is {shown}; allowed are {} (--on-illegal skip leaves such records out)",
            illegal.residue, self.alphabet
        ))
    }

    /// Checks that a model's embedding has a row for each token.
    pub fn check_vocabulary(&self, rows: usize) -> Result<()> {
        if rows == self.vocabulary_size() {
            return Ok(());
        }
        Err(Error::model(format!(
            "the embedding has {rows} rows, the vocabulary of {} has {}",
            self.family,
            self.vocabulary_size()
        )))
    }
}
