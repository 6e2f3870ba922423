//! Multi-head self-attention of one sequence.

use super::dispatch::{Kernel, widest};
use super::epilogue::Store;
use super::math::{exp, higher};
use super::matmul::{matmul, matmul_packed};
use super::packed::{PANEL, PackedMatrix, Strided};

/// Queries that are computed together: two panels.
const QUERY_BLOCK: usize = 2 * PANEL;

/// Memory that [`attention`] works in; grows to the longest sequence seen.
#[derive(Default)]
pub struct AttentionScratch {
    /// A block of queries side by side, `[head_size, QUERY_BLOCK]`
    queries: PackedMatrix,
    /// Their scores against all keys, `[T, QUERY_BLOCK]`
    scores: PackedMatrix,
    /// `[T, head_size]`
    values: PackedMatrix,
}

/// Attention of one sequence of T tokens over itself, without a mask.
///
/// `qkv` is `[T, 3d]`: queries (already scaled), keys and values side by side, each `heads` parts of d/heads.
/// `out` is `[T, d]`. `last_key_bias` is added to the last key's scores: ln n makes it weigh as n equal keys do.
pub fn attention(
    qkv: &[f32],
    d: usize,
    heads: usize,
    last_key_bias: f32,
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let tokens = out.len() / d;
    let head_size = d / heads;
    let AttentionScratch { queries, scores, values } = scratch;
    for head in 0..heads {
        let query_at = head * head_size;
        let keys = Strided::rows(&qkv[d + query_at..], 3 * d);
        values.pack(tokens, head_size, Strided::rows(&qkv[2 * d + query_at..], 3 * d));
        for first in (0..tokens).step_by(QUERY_BLOCK) {
            let count = QUERY_BLOCK.min(tokens - first);
            queries.pack(head_size, count, Strided::transposed(&qkv[first * 3 * d + query_at..], 3 * d));
            matmul_packed(tokens, keys, queries, scores);
            let rows = out[first * d + query_at..].chunks_mut(PANEL * d);
            for (panel, rows) in scores.panels_mut().zip(rows) {
                let sums = widest(Exponentiate { scores: panel, last_bias: last_key_bias });
                let weights = Strided::transposed(panel.as_flattened(), PANEL);
                matmul(rows.len().div_ceil(d), weights, values, rows, d, &Store);
                // Dividing the few outputs rather than the many weights.
                for (row, sum) in rows.chunks_mut(d).zip(sums) {
                    let scale = 1.0 / sum;
                    row[..head_size].iter_mut().for_each(|value| *value *= scale);
                }
            }
        }
    }
}

/// Replaces the scores of a panel of queries, `[T]`, by `exp(score - highest)`; gives the sum of each query.
///
/// Each query is a lane: nothing is compared or added across a vector.
struct Exponentiate<'a> {
    scores: &'a mut [[f32; PANEL]],
    /// Added to the scores of the last key
    last_bias: f32,
}

impl Kernel for Exponentiate<'_> {
    type Output = [f32; PANEL];

    #[inline(always)]
    fn run<const WIDE: bool>(self) -> [f32; PANEL] {
        if let Some(last) = self.scores.last_mut() {
            last.iter_mut().for_each(|score| *score += self.last_bias);
        }
        let mut highest = [f32::NEG_INFINITY; PANEL];
        for scores in self.scores.iter() {
            for lane in 0..PANEL {
                highest[lane] = higher(scores[lane], highest[lane]);
            }
        }
        let mut sums = [0f32; PANEL];
        for scores in self.scores {
            for lane in 0..PANEL {
                scores[lane] = exp(scores[lane] - highest[lane]);
                sums[lane] += scores[lane];
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_agrees_with_double_precision_for_any_length() {
        let (d, heads) = (40, 4);
        let head_size = d / heads;
        let mut scratch = AttentionScratch::default();
        for tokens in [1, 2, 11, 12, 15, 16, 17, 32, 33, 50, 24, 300] {
            let qkv: Vec<f32> = (0..tokens * 3 * d).map(|i| ((i * 7919) % 101) as f32 * 0.02 - 1.0).collect();
            let mut out = vec![f32::NAN; tokens * d];
            attention(&qkv, d, heads, 0.0, &mut out, &mut scratch);
            for (token, head) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
                let part = |token: usize, which: usize| {
                    let start = token * 3 * d + which * d + head * head_size;
                    &qkv[start..start + head_size]
                };
                let weights: Vec<f64> = (0..tokens)
                    .map(|key| {
                        part(token, 0)
                            .iter()
                            .zip(part(key, 1))
                            .map(|(q, k)| *q as f64 * *k as f64)
                            .sum::<f64>()
                            .exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for column in 0..head_size {
                    let exact: f64 =
                        (0..tokens).map(|key| weights[key] / total * part(key, 2)[column] as f64).sum();
                    let value = out[token * d + head * head_size + column] as f64;
                    assert!((value - exact).abs() < 1e-5, "{tokens} tokens: {value} against {exact}");
                }
            }
        }
    }
}
