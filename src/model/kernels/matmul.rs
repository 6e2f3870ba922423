//! Matrix product with a packed right-hand side and a fused epilogue.
//!
//! Each element of the result is one chain of fused multiply-adds over k, from the first to the last: tiles only
//! decide which chains run side by side. So a row has the same bits whatever rows are computed with it.

/// Columns of a panel: two AVX2 vectors.
pub(super) const PANEL: usize = 16;
/// Rows of the register tile: 6 x 16 accumulators fill 12 of AVX2's 16 registers.
const TILE: usize = 6;
/// Floats of the left-hand side that one pass over all panels works on: stays in a 512 KiB second-level cache.
const ROW_BLOCK_FLOATS: usize = 32 * 1024;

/// A view of a matrix: element (row, column) lies at `row * row_stride + column * column_stride`; one stride is 1.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Strided<'a> {
    /// Rows one after another, `columns` apart.
    pub fn rows(data: &'a [f32], columns: usize) -> Self {
        Strided { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a matrix whose rows are `columns` apart.
    pub fn transposed(data: &'a [f32], columns: usize) -> Self {
        Strided { data, row_stride: 1, column_stride: columns }
    }
}

/// A `k x n` matrix in panels of 16 columns, each panel row by row; missing columns of the last panel are zero.
#[derive(Default)]
pub struct PackedMatrix {
    data: Vec<f32>,
    k: usize,
    n: usize,
}

impl PackedMatrix {
    pub fn new(k: usize, n: usize, source: Strided) -> Self {
        let mut packed = PackedMatrix::default();
        packed.pack(k, n, source);
        packed
    }

    /// Packs another matrix into the same memory.
    pub fn pack(&mut self, k: usize, n: usize, source: Strided) {
        (self.k, self.n) = (k, n);
        self.data.resize(k * n.div_ceil(PANEL) * PANEL, 0.0);
        if k == 0 {
            return;
        }
        for (index, panel) in self.data.chunks_exact_mut(k * PANEL).enumerate() {
            let first = index * PANEL;
            let width = PANEL.min(n - first);
            if source.column_stride == 1 {
                for (row, target) in panel.chunks_exact_mut(PANEL).enumerate() {
                    let start = row * source.row_stride + first;
                    target[..width].copy_from_slice(&source.data[start..start + width]);
                    target[width..].fill(0.0);
                }
            } else {
                if width < PANEL {
                    panel.fill(0.0);
                }
                for column in 0..width {
                    let start = (first + column) * source.column_stride;
                    for row in 0..k {
                        panel[row * PANEL + column] = source.data[start + row * source.row_stride];
                    }
                }
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.k
    }

    pub fn columns(&self) -> usize {
        self.n
    }
}

/// What happens to 16 finished sums of a row before they are stored.
pub trait Epilogue {
    /// `sums` belong to `columns` columns of `row` from `first` on; `target` is where they go.
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]);
}

/// Stores the sums as they are.
pub struct Store;

/// Adds a bias.
pub struct Bias<'a>(pub &'a [f32]);

/// Adds a bias and applies the exact (erf) GELU.
pub struct BiasGelu<'a>(pub &'a [f32]);

/// Adds a bias and adds the result to what is there: the residual connection.
pub struct AddTo<'a>(pub &'a [f32]);

impl Epilogue for Store {
    #[inline(always)]
    fn finish(&self, _: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for (target, sum) in target.iter_mut().zip(sums) {
            *target = *sum;
        }
    }
}

impl Epilogue for Bias<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target = sum + bias;
        }
    }
}

impl Epilogue for BiasGelu<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target = super::gelu(sum + bias);
        }
    }
}

impl Epilogue for AddTo<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target += sum + bias;
        }
    }
}

/// `out[m x n] = finish(a[m x k] · b[k x n])`; the rows of `out` are `out_stride` apart.
pub fn matmul(
    m: usize,
    a: Strided,
    b: &PackedMatrix,
    out: &mut [f32],
    out_stride: usize,
    epilogue: &impl Epilogue,
) {
    let (k, n) = (b.k, b.n);
    if m == 0 || n == 0 {
        return;
    }
    // The inner loop reads without bounds checks: this is the check.
    assert!(
        k == 0 || (m - 1) * a.row_stride + (k - 1) * a.column_stride < a.data.len(),
        "left side too short"
    );
    assert!((m - 1) * out_stride + n <= out.len() && n <= out_stride, "result too short");
    let block = (ROW_BLOCK_FLOATS / k.max(1)).next_multiple_of(TILE);
    for block_start in (0..m).step_by(block) {
        let block_end = m.min(block_start + block);
        for panel in 0..n.div_ceil(PANEL) {
            let packed = &b.data[panel * k * PANEL..(panel + 1) * k * PANEL];
            let columns = PANEL.min(n - panel * PANEL);
            let mut row = block_start;
            while row < block_end {
                let rows = TILE.min(block_end - row);
                let mut tile =
                    Tile { a, packed, out: &mut *out, out_stride, row, first: panel * PANEL, columns };
                match rows {
                    1 => tile.run::<1>(epilogue),
                    2 => tile.run::<2>(epilogue),
                    3 => tile.run::<3>(epilogue),
                    4 => tile.run::<4>(epilogue),
                    5 => tile.run::<5>(epilogue),
                    _ => tile.run::<TILE>(epilogue),
                }
                row += rows;
            }
        }
    }
}

/// Up to 6 rows against one panel.
struct Tile<'a> {
    a: Strided<'a>,
    packed: &'a [f32],
    out: &'a mut [f32],
    out_stride: usize,
    row: usize,
    first: usize,
    columns: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(&mut self, epilogue: &impl Epilogue) {
        // One stride is 1: known to the compiler, each load is one base register and a constant.
        let sums = match self.a.column_stride {
            1 => self.sums::<ROWS>(self.a.row_stride, 1),
            stride => self.sums::<ROWS>(1, stride),
        };
        for (index, sums) in sums.iter().enumerate() {
            let start = (self.row + index) * self.out_stride + self.first;
            if self.columns == PANEL {
                // A constant width lets the epilogue run as two vectors.
                epilogue.finish(self.first, sums, &mut self.out[start..start + PANEL]);
            } else {
                epilogue.finish(self.first, sums, &mut self.out[start..start + self.columns]);
            }
        }
    }

    #[inline(always)]
    fn sums<const ROWS: usize>(&self, row_stride: usize, column_stride: usize) -> [[f32; PANEL]; ROWS] {
        let mut sums = [[0f32; PANEL]; ROWS];
        let base = self.row * row_stride;
        for (step, b) in self.packed.as_chunks::<PANEL>().0.iter().enumerate() {
            for (index, sums) in sums.iter_mut().enumerate() {
                let at = base + index * row_stride + step * column_stride;
                // SAFETY: `matmul` has checked that the last element, (m - 1, k - 1), lies inside `a.data`,
                // and this one, (row + index, step), comes no later in either direction.
                let a = unsafe { *self.a.data.get_unchecked(at) };
                for column in 0..PANEL {
                    sums[column] = a.mul_add(b[column], sums[column]);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
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
        for (m, k, n) in
            [(1, 1, 1), (6, 64, 16), (7, 40, 40), (13, 33, 25), (61, 80, 40), (5, 0, 3), (3, 300, 17)]
        {
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
    fn a_row_has_the_same_bits_among_any_rows() {
        let (m, k, n) = (97, 123, 45);
        let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
        let packed = PackedMatrix::new(k, n, Strided::rows(&b, n));
        let mut all = vec![0.0; m * n];
        matmul(m, Strided::rows(&a, k), &packed, &mut all, n, &Store);
        for (first, rows) in [(0, 1), (5, 1), (3, 2), (10, 7), (40, 57), (96, 1)] {
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
