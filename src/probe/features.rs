//! Features of single records and residues: one-hot codes, the baseline beside the embeddings.

use crate::tokenizer::Tokenizer;

/// Residues on either side that the one-hot baseline of a residue sees.
const REACH: usize = 7;

/// Numbers of the definite residues of an alphabet, from 0; all else (ambiguity codes, gaps) shares the number after them.
#[derive(Clone, Debug)]
pub struct Codes {
    of_token: Vec<u8>,
    /// Numbers that there are
    pub letters: usize,
}

impl Codes {
    pub fn of(tokenizer: &Tokenizer) -> Codes {
        let definite: Vec<u32> =
            (0..tokenizer.vocabulary_size() as u32).filter(|token| tokenizer.is_definite(*token)).collect();
        let code = |token: u32| definite.binary_search(&token).unwrap_or(definite.len()) as u8;
        Codes {
            of_token: (0..tokenizer.vocabulary_size() as u32).map(code).collect(),
            letters: definite.len() + 1,
        }
    }

    pub fn code(&self, token: u32) -> usize {
        self.of_token.get(token as usize).map_or(self.letters - 1, |code| usize::from(*code))
    }
}

/// The share of each residue in a record: its one-hot codes, pooled as the embeddings are.
pub fn pooled(codes: &Codes, residues: &[u32]) -> Vec<f32> {
    let mut shares = vec![0f32; codes.letters];
    residues.iter().for_each(|token| shares[codes.code(*token)] += 1.0);
    shares.iter_mut().for_each(|share| *share /= residues.len().max(1) as f32);
    shares
}

/// One-hot codes of a residue and of seven residues on either side; nothing stands beyond the ends.
pub fn window(codes: &Codes, residues: &[u32], at: usize) -> Vec<f32> {
    let mut features = vec![0f32; (2 * REACH + 1) * codes.letters];
    for (slot, place) in (at as isize - REACH as isize..=(at + REACH) as isize).enumerate() {
        if let Some(token) = usize::try_from(place).ok().and_then(|place| residues.get(place)) {
            features[slot * codes.letters + codes.code(*token)] = 1.0;
        }
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    #[test]
    fn codes_tell_definite_residues_apart_and_nothing_else() {
        let tokenizer = rna_fm();
        let codes = Codes::of(&tokenizer);
        let residues = |text: &[u8]| {
            let ids = tokenizer.encode(text, 100).unwrap().ids;
            ids[1..ids.len() - 1].to_vec()
        };
        let tokens = residues(b"ACGUNT");
        let coded: Vec<usize> = tokens.iter().map(|token| codes.code(*token)).collect();
        assert_eq!(coded[4], codes.letters - 1);
        assert_eq!(coded[3], coded[5]);
        assert_eq!(coded[..5].iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        let shares = pooled(&codes, &residues(b"AAC"));
        assert_eq!(shares[codes.code(tokens[0])], 2.0 / 3.0);
        assert_eq!(shares.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn a_window_is_cut_off_at_the_ends() {
        let tokenizer = rna_fm();
        let codes = Codes::of(&tokenizer);
        let tokens = vec![codes.of_token.iter().position(|code| *code == 0).unwrap() as u32; 20];
        let filled = |at: usize| window(&codes, &tokens, at).iter().sum::<f32>();
        assert_eq!((filled(0), filled(10), filled(19)), (8.0, 15.0, 8.0));
        assert_eq!(window(&codes, &tokens, 0)[REACH * codes.letters], 1.0);
    }
}
