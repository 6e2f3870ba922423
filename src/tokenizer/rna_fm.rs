//! RNA-FM's vocabulary (the official package's alphabet, 25 tokens).
//!
//! The official package is case-sensitive and reads T as `<unk>`; bioprune reads T as U and lower case as upper
//! case, since files hold both and mean the same.

use super::{ByteClass, Tokenizer};

const VOCABULARY: [&str; 25] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "A", "C", "G", "U", "R", "Y", "K", "M", "S", "W", "B", "D", "H", "V",
    "N", "-", "<null_1>", "<null_2>", "<null_3>", "<null_4>", "<mask>",
];

pub fn rna_fm() -> Tokenizer {
    let mut classes = [ByteClass::Illegal; 256];
    for (id, text) in VOCABULARY.iter().enumerate() {
        if let [letter] = text.as_bytes() {
            classes[*letter as usize] = ByteClass::Token(id as u8);
            classes[letter.to_ascii_lowercase() as usize] = ByteClass::Token(id as u8);
        }
    }
    for (other, same_as) in [(b'T', b'U'), (b't', b'U'), (b'.', b'-'), (b'X', b'N'), (b'x', b'N')] {
        classes[other as usize] = classes[same_as as usize];
    }
    for blank in *b" \t\r\n" {
        classes[blank as usize] = ByteClass::Skip;
    }
    Tokenizer {
        family: "rna-fm",
        vocabulary: &VOCABULARY,
        cls: 0,
        pad: 1,
        eos: 2,
        mask: 24,
        alphabet: "A C G U (T reads as U), the IUPAC codes R Y K M S W B D H V N (X reads as N), and gaps - . in either case",
        classes,
        definite: VOCABULARY.iter().map(|text| matches!(*text, "A" | "C" | "G" | "U")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{IllegalByte, Tokens};

    #[test]
    fn sequences_become_tokens_as_the_table_says() {
        for (sequence, ids) in [
            ("ACGU", vec![0, 4, 5, 6, 7, 2]),
            ("acgu", vec![0, 4, 5, 6, 7, 2]),
            ("TtUu", vec![0, 7, 7, 7, 7, 2]),
            ("RYKMSWBDHVN-", vec![0, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2]),
            (".Xx", vec![0, 19, 18, 18, 2]),
            ("A C\tG", vec![0, 4, 5, 6, 2]),
            ("", vec![0, 2]),
        ] {
            let residues = ids.len() as u32 - 2;
            let expected = Tokens { ids, residues, truncated: false };
            assert_eq!(rna_fm().encode(sequence.as_bytes(), 1024).unwrap(), expected, "{sequence}");
        }
    }

    #[test]
    fn letters_outside_the_alphabet_are_named() {
        let table: [(&[u8], u8, u64); 4] =
            [(b"ACE", b'E', 3), (b"*", b'*', 1), (b"A\xff", 0xff, 2), (b"MKLV", b'L', 3)];
        for (sequence, byte, residue) in table {
            assert_eq!(rna_fm().encode(sequence, 1024), Err(IllegalByte { byte, residue }));
        }
        let message = rna_fm().illegal("x.fa, record `a`", IllegalByte { byte: b'E', residue: 3 }).message;
        assert!(
            message.contains("x.fa") && message.contains("residue 3") && message.contains("'E'"),
            "{message}"
        );
    }

    #[test]
    fn long_sequences_keep_their_first_residues_and_say_so() {
        let tokens = rna_fm().encode(b"ACGUACGU", 6).unwrap();
        assert_eq!(tokens, Tokens { ids: vec![0, 4, 5, 6, 7, 2], residues: 8, truncated: true });
        assert!(!rna_fm().encode(b"ACGU", 6).unwrap().truncated);
    }

    #[test]
    fn only_the_four_bases_are_definite() {
        let tokenizer = rna_fm();
        let definite: Vec<u32> = (0..25).filter(|id| tokenizer.is_definite(*id)).collect();
        assert_eq!(definite, [4, 5, 6, 7]);
    }
}
