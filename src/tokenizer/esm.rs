//! The protein vocabularies of ESM-2 (and ESM-1b) and of ESM-C.
//!
//! The official packages are case-sensitive; bioprune reads lower case as upper case, since files use it to mark
//! regions. J (leucine or isoleucine) and `*` (a stop at the end of a translation) become `<unk>`, as they do there.

use super::{ANGLED, Alphabet, Tokenizer, owned};

/// The tokens that both have, in order.
const SHARED: [&str; 31] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-",
];
const UNKNOWN: [(u8, &str); 2] = [(b'J', "<unk>"), (b'*', "<unk>")];

/// ESM-2's and ESM-1b's 33 tokens.
pub fn esm2() -> Tokenizer {
    with("esm-2", ["<null_1>", "<mask>"])
}

/// ESM-C's 33 tokens; `|` breaks chains.
pub fn esmc() -> Tokenizer {
    with("esmc", ["|", "<mask>"])
}

fn with(family: &'static str, last: [&str; 2]) -> Tokenizer {
    let vocabulary = owned(&[&SHARED[..], &last].concat());
    Tokenizer::of_letters(family, Alphabet::AminoAcids, vocabulary, &ANGLED, &UNKNOWN)
        .expect("the vocabulary above holds the special tokens")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_illegal};
    use super::*;

    #[test]
    fn proteins_become_tokens_as_in_the_official_packages() {
        for tokenizer in [esm2(), esmc()] {
            check(
                &tokenizer,
                &[
                    ("LAGVSERTIDPKQNFYMHWC", &(4..24).collect::<Vec<u32>>()),
                    ("XBUZO.-", &[24, 25, 26, 27, 28, 29, 30]),
                    ("mkJ*", &[20, 15, 3, 3]),
                ],
            );
            check_illegal(&tokenizer, &[(b"MK1", b'1', 3), (b"A>", b'>', 2)]);
            let definite: Vec<u32> = (0..33).filter(|id| tokenizer.is_definite(*id)).collect();
            assert_eq!(definite, (4..24).collect::<Vec<u32>>());
            assert_eq!([tokenizer.cls, tokenizer.pad, tokenizer.eos, tokenizer.mask], [0, 1, 2, 32]);
        }
    }

    #[test]
    fn only_esm_c_breaks_chains() {
        check(&esmc(), &[("A|L", &[5, 31, 4])]);
        check_illegal(&esm2(), &[(b"A|L", b'|', 2)]);
    }
}
