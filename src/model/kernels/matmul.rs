//! Matrix product with a packed right-hand side and a fused epilogue.
//!
//! Each element of the result is one chain of fused multiply-adds over k, from the first to the last: tiles only
//! decide which chains run side by side. So a row has the same bits whatever rows are computed with it.

use super::dispatch::{Kernel, widest};
use super::element::Element;
use super::epilogue::{Epilogue, Store};
use super::packed::{PANEL, PackedMatrix, Strided};
use std::hint::black_box;
use std::ops::Range;

/// Rows of the register tile: 6 x 16 accumulators fill 12 of AVX2's 16 registers.
const TILE: usize = 6;
/// The same for AVX-512, where a tile goes over two panels: 12 x 32 accumulators fill 24 of 32 registers.
const WIDE_TILE: usize = 12;
/// Rows that one pass over all panels works on: so often is the right-hand side read from memory.
const ROW_BLOCK: usize = 96;
/// Of the right-hand side's rows, so many go with all rows of a block before the next: two panels of them are 32 KiB and stay
/// in the first-level cache.
const DEPTH: usize = 256;

/// `out[m x n] = finish(a[m x k] · b[k x n])`; the rows of `out` are `out_stride` apart.
pub fn matmul<T: Element>(
    m: usize,
    a: Strided<T>,
    b: &PackedMatrix<T>,
    out: &mut [f32],
    out_stride: usize,
    epilogue: &impl Epilogue,
) {
    if m == 0 || b.n == 0 {
        return;
    }
    assert!((m - 1) * out_stride + b.n <= out.len() && b.n <= out_stride, "result too short");
    Product { m, a, b, out, out_stride, panel_stride: PANEL, epilogue }.compute();
}

/// `out[m x n] = a[m x k] · b[k x n]`, in panels. What the missing columns of the last panel hold is not said.
pub(super) fn matmul_packed(m: usize, a: Strided, b: &PackedMatrix, out: &mut PackedMatrix) {
    out.resize(m, b.n);
    if m == 0 || b.n == 0 {
        return;
    }
    let out = &mut out.data;
    Product { m, a, b, out, out_stride: PANEL, panel_stride: m * PANEL, epilogue: &Store }.compute();
}

struct Product<'a, T, E> {
    m: usize,
    a: Strided<'a, T>,
    b: &'a PackedMatrix<T>,
    out: &'a mut [f32],
    /// How far apart rows are in `out`
    out_stride: usize,
    /// The same of panels
    panel_stride: usize,
    epilogue: &'a E,
}

/// Unfinished sums of a block of rows against two panels.
type Unfinished = [[[f32; PANEL]; 2]; ROW_BLOCK];

/// What a tile is of: panels from `panel` on, `left` rows from `row` on, and rows of the right-hand side.
#[derive(Clone)]
struct Part {
    panel: usize,
    row: usize,
    left: usize,
    depth: Range<usize>,
}

impl<T: Element, E: Epilogue> Kernel for Product<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let panels = self.b.n.div_ceil(PANEL);
        let mut memory: Unfinished;
        let unfinished: &mut [_] = if self.b.k > DEPTH {
            memory = [[[0.0; PANEL]; 2]; ROW_BLOCK];
            &mut memory
        } else {
            &mut []
        };
        for start in (0..self.m).step_by(ROW_BLOCK) {
            let rows = start..self.m.min(start + ROW_BLOCK);
            let mut panel = 0;
            if WIDE {
                while panel + 2 <= panels {
                    self.panels::<WIDE, 2>(panel, rows.clone(), unfinished);
                    panel += 2;
                }
            }
            while panel < panels {
                self.panels::<WIDE, 1>(panel, rows.clone(), unfinished);
                panel += 1;
            }
        }
    }
}

impl<T: Element, E: Epilogue> Product<'_, T, E> {
    fn compute(self) {
        let (m, k, a) = (self.m, self.b.k, &self.a);
        // The inner loop reads without bounds checks: this is the check.
        assert!(
            k == 0 || (m - 1) * a.row_stride + (k - 1) * a.column_stride < a.data.len(),
            "left side too short"
        );
        widest(self);
    }

    /// All of `rows` against neighbouring panels.
    #[inline(always)]
    fn panels<const WIDE: bool, const PANELS: usize>(
        &mut self,
        panel: usize,
        rows: Range<usize>,
        unfinished: &mut [[[f32; PANEL]; 2]],
    ) {
        let heights: &[usize] = if WIDE { &[1, 2, 4, 8, WIDE_TILE] } else { &[1, 2, 4, TILE] };
        let k = self.b.k;
        let mut start = 0;
        // once where there is nothing to add up, too
        while start == 0 || start < k {
            let depth = start..k.min(start + DEPTH);
            let mut row = rows.start;
            while row < rows.end {
                let left = rows.end - row;
                let at = heights.partition_point(|height| *height < left).min(heights.len() - 1);
                // The last rows are computed once more with those before them where there are enough: one tall tile
                // is faster than two low ones.
                let height = match left {
                    // twice 8, not 12 and 4
                    13..=16 if WIDE => 8,
                    _ if heights[at] <= rows.end => heights[at],
                    _ => heights[at - 1],
                };
                let part = Part { panel, row, left, depth: depth.clone() };
                let unfinished = unfinished.get_mut(row - rows.start..).unwrap_or_default();
                match height {
                    WIDE_TILE if WIDE => self.tile::<WIDE_TILE, PANELS>(part, unfinished),
                    8 if WIDE => self.tile::<8, PANELS>(part, unfinished),
                    TILE if !WIDE => self.tile::<TILE, PANELS>(part, unfinished),
                    4 => self.tile::<4, PANELS>(part, unfinished),
                    2 => self.tile::<2, PANELS>(part, unfinished),
                    _ => self.tile::<1, PANELS>(part, unfinished),
                }
                row += height.min(left);
            }
            start += DEPTH;
        }
    }

    /// Goes on with the sums of rows from `part.row` on, as far as a tile of `ROWS` holds them: the rows before, which
    /// a tile that is taller than what is left begins with, are done.
    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(
        &mut self,
        part: Part,
        unfinished: &mut [[[f32; PANEL]; 2]],
    ) {
        let done = ROWS.saturating_sub(part.left);
        let first = part.row - done;
        let mut sums = [[[0f32; PANEL]; PANELS]; ROWS];
        if part.depth.start > 0 {
            for (index, sums) in sums.iter_mut().enumerate() {
                if let Some(before) = index.checked_sub(done).and_then(|index| unfinished.get(index)) {
                    sums.copy_from_slice(&before[..PANELS]);
                }
            }
        }
        // One stride is 1. Of columns, the compiler is to know it: each load is one base register and a constant. Of rows,
        // it is not: it would make vectors of neighbouring rows, and gather and scatter the sums, at a fortieth of the
        // speed.
        let sums = match self.a.column_stride {
            1 => self.add(sums, &part, first, self.a.row_stride, 1),
            stride => self.add(sums, &part, first, black_box(1), stride),
        };
        if part.depth.end < self.b.k {
            for (index, sums) in sums.iter().enumerate() {
                if let Some(after) = index.checked_sub(done).and_then(|index| unfinished.get_mut(index)) {
                    after[..PANELS].copy_from_slice(sums);
                }
            }
            return;
        }
        for (index, sums) in sums.iter().enumerate().skip(done) {
            for (panel, sums) in sums.iter().enumerate() {
                let column = (part.panel + panel) * PANEL;
                let start = (first + index) * self.out_stride + (part.panel + panel) * self.panel_stride;
                let columns = PANEL.min(self.b.n - column);
                if columns == PANEL {
                    // A constant width lets the epilogue run as whole vectors.
                    self.epilogue.finish(column, sums, &mut self.out[start..start + PANEL]);
                } else {
                    self.epilogue.finish(column, sums, &mut self.out[start..start + columns]);
                }
            }
        }
    }

    #[inline(always)]
    fn add<const ROWS: usize, const PANELS: usize>(
        &self,
        mut sums: [[[f32; PANEL]; PANELS]; ROWS],
        part: &Part,
        row: usize,
        row_stride: usize,
        column_stride: usize,
    ) -> [[[f32; PANEL]; PANELS]; ROWS] {
        let k = self.b.k;
        let panels: [&[[T; PANEL]]; PANELS] = std::array::from_fn(|panel| {
            self.b.data[(part.panel + panel) * k * PANEL..][..k * PANEL].as_chunks::<PANEL>().0
        });
        let base = row * row_stride;
        for step in part.depth.clone() {
            // SAFETY: each panel holds k rows.
            let b: [&[T; PANEL]; PANELS] = panels.map(|panel| unsafe { panel.get_unchecked(step) });
            // What comes next of the right-hand side is on its way from memory by then.
            #[cfg(target_arch = "x86_64")]
            for panel in panels {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                let ahead = panel.as_ptr().wrapping_add(step + DEPTH);
                // SAFETY: a prefetch reads nothing, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
            }
            for (index, sums) in sums.iter_mut().enumerate() {
                let at = base + index * row_stride + step * column_stride;
                // SAFETY: `compute` has checked that the last element, (m - 1, k - 1), lies inside `a.data`,
                // and this one, (row + index, step), comes no later in either direction.
                let a = unsafe { *self.a.data.get_unchecked(at) };
                for (sums, b) in sums.iter_mut().zip(b) {
                    a.add_products(b, sums);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bias, BiasGelu, Store};
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2654435761).wrapping_add(12345);
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_of_any_shape_agree_with_double_precision() {
        for (m, k, n) in [
            (1, 1, 1),
            (6, 64, 16),
            (7, 40, 40),
            (13, 33, 25),
            (61, 80, 40),
            (5, 0, 3),
            (3, 300, 17),
            (109, 600, 40),
        ] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let bias = numbers(n, 3);
            let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
            let mut out = vec![f32::NAN; m * n];
            matmul(m, Strided::rows(&a, k), &packed, &mut out, n, &Bias(&bias));
            let bt: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            let at: Vec<f32> = (0..m * k).map(|i| a[(i % m) * k + i / m]).collect();
            let transposed = PackedMatrix::new(k, n, Strided::transposed(&bt, k));
            let mut other = vec![f32::NAN; m * n];
            matmul(m, Strided::transposed(&at, m), &transposed, &mut other, n, &Bias(&bias));
            assert_eq!(out, other, "views of the same matrices give the same bits");
            for row in 0..m {
                for column in 0..n {
                    let exact: f64 =
                        (0..k).map(|i| a[row * k + i] as f64 * b[i * n + column] as f64).sum::<f64>()
                            + bias[column] as f64;
                    assert!((out[row * n + column] as f64 - exact).abs() < 1e-5 * (k as f64 + 1.0));
                }
            }
        }
    }

    #[test]
    fn both_forms_of_the_kernel_give_the_same_bits() {
        for (m, k, n) in [(1, 5, 3), (23, 64, 48), (110, 600, 40)] {
            let (a, b) = (numbers(m * k, 6), numbers(k * n, 7));
            let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
            let bias = numbers(n, 8);
            let epilogue = &BiasGelu(&bias);
            let [mut narrow, mut wide, mut chosen] = [(); 3].map(|()| vec![0.0; m * n]);
            let product = |out| {
                let a = Strided::rows(&a, k);
                Product { m, a, b: &packed, out, out_stride: n, panel_stride: PANEL, epilogue }
            };
            product(&mut narrow).run::<false>();
            product(&mut wide).run::<true>();
            widest(product(&mut chosen));
            assert_eq!(narrow, wide);
            assert_eq!(narrow, chosen);
        }
    }

    #[test]
    fn a_packed_result_holds_the_bits_of_a_plain_one() {
        for (m, k, n) in [(1, 1, 1), (33, 16, 32), (50, 300, 39)] {
            let (a, b) = (numbers(m * k, 9), numbers(k * n, 10));
            let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
            let (mut plain, mut out) = (vec![0.0; m * n], PackedMatrix::default());
            matmul(m, Strided::rows(&a, k), &packed, &mut plain, n, &Store);
            matmul_packed(m, Strided::rows(&a, k), &packed, &mut out);
            let expected = PackedMatrix::new(m, n, Strided::rows(&plain, n));
            let columns = |packed: &mut PackedMatrix| {
                let rows = packed.panels_mut().zip(0..).flat_map(|(panel, i)| {
                    panel.iter().map(move |row| row[..PANEL.min(n - i * PANEL)].to_vec()).collect::<Vec<_>>()
                });
                rows.collect::<Vec<_>>()
            };
            assert_eq!(columns(&mut out), columns(&mut { expected }));
        }
    }

    #[test]
    fn a_row_has_the_same_bits_among_any_rows() {
        let (m, k, n) = (103, 323, 45);
        let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
        let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
        let mut all = vec![0.0; m * n];
        matmul(m, Strided::rows(&a, k), &packed, &mut all, n, &Store);
        for (first, rows) in [(0, 1), (5, 1), (3, 2), (10, 7), (40, 57), (96, 1), (90, 13)] {
            let mut some = vec![0.0; rows * n];
            matmul(rows, Strided::rows(&a[first * k..], k), &packed, &mut some, n, &Store);
            assert_eq!(some, all[first * n..(first + rows) * n]);
        }
    }

    #[test]
    #[should_panic(expected = "left side too short")]
    fn a_left_side_that_is_too_short_is_caught() {
        let packed = PackedMatrix::new(2, 2, Strided::rows(&[1.0; 4], 2));
        matmul(2, Strided::rows(&[1.0; 3], 2), &packed, &mut [0.0; 4], 2, &Store);
    }
}
