//! Matrices as products take and give them: views, and panels.

/// Columns of a panel: two AVX2 vectors, one of AVX-512.
pub(super) const PANEL: usize = 16;

/// A view of a matrix: element (row, column) lies at `row * row_stride + column * column_stride`; one stride is 1.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    pub(super) data: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
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
    pub(super) data: Vec<f32>,
    pub(super) k: usize,
    pub(super) n: usize,
}

impl PackedMatrix {
    pub fn new(k: usize, n: usize, source: Strided) -> Self {
        let mut packed = PackedMatrix::default();
        packed.pack(k, n, source);
        packed
    }

    /// Packs another matrix into the same memory.
    pub fn pack(&mut self, k: usize, n: usize, source: Strided) {
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

    /// Takes another shape; what the numbers are then is up to whoever writes them next.
    pub(super) fn resize(&mut self, k: usize, n: usize) {
        (self.k, self.n) = (k, n);
        self.data.resize(k * n.div_ceil(PANEL) * PANEL, 0.0);
    }

    /// The panels, `k` rows each.
    pub(super) fn panels_mut(&mut self) -> impl Iterator<Item = &mut [[f32; PANEL]]> {
        self.data.as_chunks_mut().0.chunks_exact_mut(self.k.max(1))
    }

    pub fn rows(&self) -> usize {
        self.k
    }

    pub fn columns(&self) -> usize {
        self.n
    }
}
