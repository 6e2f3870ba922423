//! Rotary positions (Su et al. 2021): queries and keys turned by their position.

/// Base of the wavelengths.
const BASE: f32 = 10_000.0;

/// Cosines and sines of every position and frequency.
pub struct Rotary {
    head_size: usize,
    /// `[max_tokens, head_size / 2]` each.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotary {
    pub fn new(max_tokens: usize, head_size: usize) -> Self {
        let half = head_size / 2;
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for position in 0..max_tokens {
            for index in 0..half {
                // In f32 as the official packages do, then exact.
                let frequency = 1.0 / BASE.powf((2 * index) as f32 / head_size as f32);
                let angle = (position as f32 * frequency) as f64;
                cosines.push(angle.cos() as f32);
                sines.push(angle.sin() as f32);
            }
        }
        Rotary { head_size, cosines, sines }
    }

    pub fn head_size(&self) -> usize {
        self.head_size
    }

    /// Turns the queries and keys of one sequence, `[T, 3d]` with queries, keys and values side by side: value i of a
    /// head's lower half is paired with value i of its upper half.
    pub fn turn(&self, qkv: &mut [f32], d: usize) {
        for (row, angles) in qkv.chunks_exact_mut(3 * d).zip(self.angles()) {
            self.turn_row(&mut row[..2 * d], angles, 1.0);
        }
    }

    /// Turns the queries or the keys `[T, d]` of one sequence.
    pub fn turn_rows(&self, rows: &mut [f32], d: usize) {
        for (row, angles) in rows.chunks_exact_mut(d).zip(self.angles()) {
            self.turn_row(row, angles, 1.0);
        }
    }

    /// Turns them back: the transpose of [`turn_rows`](Rotary::turn_rows), and its inverse.
    pub fn turn_rows_back(&self, rows: &mut [f32], d: usize) {
        for (row, angles) in rows.chunks_exact_mut(d).zip(self.angles()) {
            self.turn_row(row, angles, -1.0);
        }
    }

    /// Cosines and sines of each position.
    pub fn angles(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        let half = self.head_size / 2;
        self.cosines.chunks_exact(half).zip(self.sines.chunks_exact(half))
    }

    #[inline(always)]
    fn turn_row(&self, row: &mut [f32], (cosines, sines): (&[f32], &[f32]), direction: f32) {
        for head in row.chunks_exact_mut(self.head_size) {
            let (lower, upper) = head.split_at_mut(self.head_size / 2);
            for (((a, b), cosine), sine) in lower.iter_mut().zip(upper).zip(cosines).zip(sines) {
                let sine = direction * sine;
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_turned_queries_and_keys_depend_on_their_distance_alone() {
        let (d, head_size, tokens) = (12, 6, 40);
        let rotary = Rotary::new(tokens, head_size);
        let pattern: Vec<f32> = (0..3 * d).map(|i| ((i * 37) % 11) as f32 * 0.3 - 1.0).collect();
        let mut qkv = pattern.repeat(tokens);
        rotary.turn(&mut qkv, d);
        let product = |query: usize, key: usize| -> f32 {
            let (q, k) = (&qkv[query * 3 * d..][..head_size], &qkv[key * 3 * d + d..][..head_size]);
            q.iter().zip(k).map(|(q, k)| q * k).sum()
        };
        for distance in 0..20 {
            assert!((product(distance, 0) - product(19 + distance, 19)).abs() < 1e-4, "{distance}");
        }
        assert!((product(3, 0) - product(0, 3)).abs() > 0.1, "the direction counts");
        assert_eq!(qkv[..3 * d], pattern, "the first token stays as it is");
        assert_eq!(qkv[3 * d * 7 + 2 * d..3 * d * 8], pattern[2 * d..], "values stay as they are");

        let mut rows = pattern[..d].repeat(tokens);
        rotary.turn_rows(&mut rows, d);
        assert_eq!(rows[7 * d..8 * d], qkv[3 * d * 7..][..d]);
        rotary.turn_rows_back(&mut rows, d);
        for (back, value) in rows[7 * d..8 * d].iter().zip(&pattern) {
            assert!((back - value).abs() < 1e-5, "{back} {value}");
        }
    }
}
