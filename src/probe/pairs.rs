//! Features of pairs of bases, and the pairs that a probe's log-odds make: each base in at most one.

use super::features::Codes;

/// Bases closer than this cannot pair: a hairpin's loop has three at least.
pub const NEAREST: usize = 4;
/// Half octaves of the distance between two bases, from [`NEAREST`] up to 4096.
const DISTANCES: usize = 21;

/// The one-hot code of the distance between two bases, appended to every pair's features.
pub fn distance_features(i: usize, j: usize, features: &mut Vec<f32>) {
    let octaves = 2.0 * ((j - i) as f32 / NEAREST as f32).log2();
    let start = features.len();
    features.resize(start + DISTANCES, 0.0);
    features[start + (octaves.max(0.0) as usize).min(DISTANCES - 1)] = 1.0;
}

/// Which two bases they are, and which stand outside and inside of them, where a stem goes on: what stands beyond an end is
/// `None`.
fn around(i: usize, j: usize, residues: usize) -> [Option<(usize, usize)>; 3] {
    let outside = i.checked_sub(1).filter(|_| j + 1 < residues).map(|i| (i, j + 1));
    [outside, Some((i, j)), Some((i + 1, j - 1))]
}

/// Of [`Components`](super::Components) `[residues, r]`: all products of a number of the one base and a number of the other, for the
/// two bases and those around them; and the distance.
pub fn pair_of_states(states: &[f32], r: usize, (i, j): (usize, usize), features: &mut Vec<f32>) {
    features.clear();
    let state = |at: usize| &states[at * r..(at + 1) * r];
    for place in around(i, j, states.len().checked_div(r).unwrap_or(0)) {
        match place {
            Some((i, j)) => {
                features.extend(state(i).iter().flat_map(|a| state(j).iter().map(move |b| a * b)))
            }
            None => features.resize(features.len() + r * r, 0.0),
        }
    }
    distance_features(i, j, features);
}

/// Of tokens: the one-hot code of the two bases, and those of the bases around them; and the distance.
pub fn pair_of_bases(codes: &Codes, residues: &[u32], (i, j): (usize, usize), features: &mut Vec<f32>) {
    features.clear();
    let letters = codes.letters;
    for place in around(i, j, residues.len()) {
        let start = features.len();
        features.resize(start + letters * letters, 0.0);
        if let Some((i, j)) = place {
            features[start + codes.code(residues[i]) * letters + codes.code(residues[j])] = 1.0;
        }
    }
    distance_features(i, j, features);
}

/// A pair that a probe makes, and whether it is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairing {
    pub log_odds: f32,
    pub right: bool,
}

/// Takes the likeliest pairs first, each base in at most one; so the pairs above any threshold are a beginning of what is
/// given. `log_odds` is asked for i < j, at least [`NEAREST`] apart.
pub fn matched(
    residues: usize,
    mut log_odds: impl FnMut(usize, usize) -> f32,
    is_pair: impl Fn(usize, usize) -> bool,
) -> Vec<Pairing> {
    let mut pairs = Vec::with_capacity(residues * residues / 2);
    for i in 0..residues {
        for j in i + NEAREST..residues {
            pairs.push((log_odds(i, j), i as u32, j as u32));
        }
    }
    pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let mut taken = vec![false; residues];
    let mut made = Vec::new();
    for (log_odds, i, j) in pairs {
        let (i, j) = (i as usize, j as usize);
        if !taken[i] && !taken[j] {
            (taken[i], taken[j]) = (true, true);
            made.push(Pairing { log_odds, right: is_pair(i, j) });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    #[test]
    fn each_base_is_in_one_pair_and_the_likeliest_come_first() {
        // 0 with 9 and 1 with 8 are likely, 0 with 8 likelier than 1 with 8
        let log_odds = |i: usize, j: usize| match (i, j) {
            (0, 9) => 5.0,
            (0, 8) => 4.0,
            (1, 8) => 3.0,
            _ => -(i as f32) - j as f32,
        };
        let made = matched(10, log_odds, |i, j| (i, j) == (1, 8));
        assert_eq!(
            made[..2],
            [Pairing { log_odds: 5.0, right: false }, Pairing { log_odds: 3.0, right: true }]
        );
        assert!(made.windows(2).all(|two| two[0].log_odds >= two[1].log_odds) && made.len() <= 5);
        assert!(matched(4, |_, _| 1.0, |_, _| true).is_empty());
    }

    #[test]
    fn features_are_of_one_length_and_tell_a_stem() {
        let tokenizer = rna_fm();
        let codes = Codes::of(&tokenizer);
        let ids = tokenizer.encode(b"GGAAAACC", 100).unwrap().ids;
        let residues = &ids[1..ids.len() - 1];
        let features = |i, j| {
            let mut features = Vec::new();
            pair_of_bases(&codes, residues, (i, j), &mut features);
            features
        };
        assert_eq!(features(0, 7).len(), 3 * codes.letters * codes.letters + DISTANCES);
        // nothing stands outside of the first and the last; three kinds of pairs and a distance within
        assert_eq!(features(0, 7).iter().sum::<f32>(), 3.0);
        assert_eq!(features(1, 6).iter().sum::<f32>(), 4.0);
        let states = [1.0, 2.0, 0.0, 7.0, 0.0, 0.0, 11.0, 0.0, 3.0, 5.0];
        let mut of_states = Vec::new();
        pair_of_states(&states, 2, (0, 4), &mut of_states);
        let (outside, two, inside) = ([0.0; 4], [3.0, 5.0, 6.0, 10.0], [0.0, 0.0, 77.0, 0.0]);
        assert_eq!(of_states[..12], [outside, two, inside].concat());
        assert_eq!(of_states[12..14], [1.0, 0.0]);
    }
}
