//! Multi-head self-attention of one sequence.

use super::epilogue::Store;
use super::math::exponentiate;
use super::matmul::{PANEL, PackedMatrix, Strided, matmul};

/// Queries that are computed together: their scores against all keys stay in cache.
const QUERY_BLOCK: usize = 24;

/// Memory that [`attention`] works in; grows to the longest sequence seen.
#[derive(Default)]
pub struct AttentionScratch {
    keys: PackedMatrix,
    values: PackedMatrix,
    scores: Vec<f32>,
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
    // Whole vectors only: the scores of the keys that fill up the last panel are set to -inf.
    let width = tokens.next_multiple_of(PANEL);
    scratch.scores.resize(QUERY_BLOCK * width, 0.0);
    for head in 0..heads {
        let query_at = head * head_size;
        let (key_at, value_at) = (d + query_at, 2 * d + query_at);
        scratch.keys.pack(head_size, tokens, Strided::transposed(&qkv[key_at..], 3 * d));
        scratch.values.pack(tokens, head_size, Strided::rows(&qkv[value_at..], 3 * d));
        for first in (0..tokens).step_by(QUERY_BLOCK) {
            let rows = QUERY_BLOCK.min(tokens - first);
            let queries = Strided::rows(&qkv[first * 3 * d + query_at..], 3 * d);
            let scores = &mut scratch.scores[..rows * width];
            matmul(rows, queries, &scratch.keys, scores, width, &Store);
            let mut sums = [0f32; QUERY_BLOCK];
            for (row, sum) in scores.chunks_exact_mut(width).zip(&mut sums) {
                row[tokens - 1] += last_key_bias;
                row[tokens..].fill(f32::NEG_INFINITY);
                (_, *sum) = exponentiate(row);
            }
            let out = &mut out[first * d + query_at..];
            matmul(rows, Strided::rows(scores, width), &scratch.values, out, d, &Store);
            // Dividing the few outputs rather than the many weights.
            for (row, sum) in out.chunks_mut(d).zip(&sums[..rows]) {
                let scale = 1.0 / sum;
                row[..head_size].iter_mut().for_each(|value| *value *= scale);
            }
        }
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
        for tokens in [1, 2, 15, 16, 17, 50, 24] {
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
