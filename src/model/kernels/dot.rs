//! AVX512-BF16, of AMD's CPUs since Zen 4: one instruction adds two products of bf16 to each of 16 sums. (Some of
//! Intel's have it, too; on the one that was tried it is slower than f32.)
//!
//! The instruction takes and gives numbers below the least normal one as zero. Everything unsafe is in here.

use super::element::{Pair, TILE};
use super::packed::PANEL;
use super::unit::{ROWS, Sums, Unit};
use std::arch::x86_64::{__m512bh, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps};
use std::mem::transmute;

/// Rows whose sums with two panels are held in registers: 16 of 32, enough to hide how long an addition takes.
const TALL: usize = TILE / 2;

/// Proof that this CPU has the instruction.
#[derive(Clone, Copy, Debug)]
pub struct Dot(());

impl Dot {
    pub fn detect() -> Option<Dot> {
        let there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        there.then_some(Dot(()))
    }
}

impl Unit for Dot {
    type Session = Dot;

    fn begin(self) -> Dot {
        self
    }

    fn sums(_: &Dot, a: &[Pair], b: &[Pair], k: usize, sums: &mut Sums) {
        assert!(
            k > 0 && a.len() == ROWS * k && b.len().is_multiple_of(k * PANEL),
            "a step's rows and panels"
        );
        let panels = b.as_chunks::<PANEL>().0;
        for (index, rows) in a.chunks_exact(TALL * k).enumerate() {
            let (tiles, first) = (&mut sums.0[index * TALL / TILE], index * TALL % TILE);
            // SAFETY: a `Dot` is there only where the CPU has the instruction.
            unsafe {
                match panels.split_at(k) {
                    (left, []) => tile(rows, [left], tiles, first),
                    (left, right) => tile(rows, [left, right], tiles, first),
                }
            }
        }
    }
}

/// Rows times panels of k rows each, into rows of the panels' tiles from `first` on.
#[target_feature(enable = "avx512f,avx512bf16")]
fn tile<const PANELS: usize>(
    rows: &[Pair],
    panels: [&[[Pair; PANEL]]; PANELS],
    tiles: &mut [[[f32; PANEL]; TILE]; 2],
    first: usize,
) {
    let k = rows.len() / TALL;
    // The loop reads without bounds checks: this is the check.
    assert!(panels.iter().all(|panel| panel.len() == k), "a step's panels");
    let mut sums = [[_mm512_setzero_ps(); PANELS]; TALL];
    for step in 0..k {
        // SAFETY: each panel holds k rows; 16 pairs fill a register as they lie.
        let b: [__m512bh; PANELS] = panels.map(|panel| unsafe { transmute(*panel.get_unchecked(step)) });
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: there are TALL rows of k pairs, each of 32 bits.
            let a: __m512bh =
                unsafe { transmute(_mm512_set1_epi32(rows.get_unchecked(row * k + step).0 as i32)) };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = _mm512_dpbf16_ps(*sum, a, b);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (tile, sum) in tiles.iter_mut().zip(sums) {
            let target = &mut tile[first + row];
            // SAFETY: the target has the 16 numbers of a register.
            unsafe { _mm512_storeu_ps(target.as_mut_ptr(), sum) };
        }
    }
}
