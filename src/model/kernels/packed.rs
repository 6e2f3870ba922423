//! Matrices as products take and give them: views, and panels.

/// Columns of a panel: two AVX2 vectors, one of AVX-512.
pub(super) const PANEL: usize = 16;

/// A view of a matrix of `T`: element (row, column) lies at `row * row_stride + column * column_stride`; one stride is 1.
#[derive(Clone, Copy)]
pub struct Strided<'a, T = f32> {
    pub(super) data: &'a [T],
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a, T> Strided<'a, T> {
    /// Rows one after another, `columns` apart.
    pub fn rows(data: &'a [T], columns: usize) -> Self {
        Strided { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a matrix whose rows are `columns` apart.
    pub fn transposed(data: &'a [T], columns: usize) -> Self {
        Strided { data, row_stride: 1, column_stride: columns }
    }
}

/// A `k x n` matrix in panels of 16 columns, each panel row by row; missing columns of the last panel are zero.
#[derive(Default)]
pub struct PackedMatrix<T = f32> {
    pub(super) data: Vec<T>,
    pub(super) k: usize,
    pub(super) n: usize,
}

impl<T: Copy + Default> PackedMatrix<T> {
    pub fn new(k: usize, n: usize, source: Strided<T>) -> Self {
        let mut packed = PackedMatrix::default();
        packed.pack(k, n, source);
        packed
    }

    /// Packs another matrix into the same memory.
    pub fn pack(&mut self, k: usize, n: usize, source: Strided<T>) {
        self.resize(k, n);
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
                    target[width..].fill(T::default());
                }
            } else {
                if width < PANEL {
                    panel.fill(T::default());
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

    /// Takes another shape; what the numbers are then is up to whoever writes them next.
    pub(super) fn resize(&mut self, k: usize, n: usize) {
        (self.k, self.n) = (k, n);
        self.data.resize(k * n.div_ceil(PANEL) * PANEL, T::default());
    }

    /// The panels, `k` rows each.
    pub(super) fn panels_mut(&mut self) -> impl Iterator<Item = &mut [[T; PANEL]]> {
        self.data.as_chunks_mut().0.chunks_exact_mut(self.k.max(1))
    }

    /// The matrix, row by row.
    pub fn unpacked(&self) -> Vec<T> {
        let mut rows = vec![T::default(); self.k * self.n];
        for (index, panel) in self.data.chunks_exact((self.k * PANEL).max(1)).enumerate() {
            let first = index * PANEL;
            let width = PANEL.min(self.n - first);
            for (row, values) in panel.chunks_exact(PANEL).enumerate() {
                rows[row * self.n + first..][..width].copy_from_slice(&values[..width]);
            }
        }
        rows
    }

    pub fn rows(&self) -> usize {
        self.k
    }

    pub fn columns(&self) -> usize {
        self.n
    }
}
