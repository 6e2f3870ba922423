//! fairseq's vocabularies: of a dictionary beside the model, or Sapiens' where there is none.

use super::{Alphabet, Special, Tokenizer};
use crate::error::Result;

const SAPIENS: &str = "<s> <pad> </s> <unk> A C D E F G H I K L M N P Q R S T V W Y <mask>";
const SPECIAL: Special = Special { cls: "<s>", eos: "</s>", pad: "<pad>", mask: "<mask>" };

/// Tokens in the order of `vocabulary`, separated by blanks. Letters that it lacks become `<unk>`, as in fairseq.
pub fn roberta(vocabulary: Option<&str>) -> Result<Tokenizer> {
    let vocabulary = vocabulary.unwrap_or(SAPIENS).split_whitespace().map(str::to_string).collect();
    let unknown = [b'X', b'B', b'U', b'Z', b'O', b'J', b'*', b'-', b'.'].map(|byte| (byte, "<unk>"));
    Tokenizer::of_letters("roberta", Alphabet::AminoAcids, vocabulary, &SPECIAL, &unknown)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_illegal};
    use super::*;

    #[test]
    fn sapiens_knows_the_twenty_amino_acids() {
        let tokenizer = roberta(None).unwrap();
        check(
            &tokenizer,
            &[("ACDEFGHIKLMNPQRSTVWY", &(4..24).collect::<Vec<u32>>()), ("qvX-", &[17, 21, 3, 3])],
        );
        check_illegal(&tokenizer, &[(b"QV1", b'1', 3)]);
        assert_eq!([tokenizer.cls, tokenizer.pad, tokenizer.eos, tokenizer.mask], [0, 1, 2, 24]);
    }

    #[test]
    fn a_vocabulary_without_a_mask_is_refused() {
        assert!(roberta(Some("<s> <pad> </s> <unk> A C")).err().unwrap().message.contains("<mask>"));
    }
}
