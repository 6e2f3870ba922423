//! Products on a CPU's unit for pairs of bf16, of which there are two kinds.

use super::Epilogue;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::amx::Amx;
use super::dispatch::{Kernel, widest};
#[cfg(target_arch = "x86_64")]
use super::dot::Dot;
use super::element::{Pair, TILE};
use super::matmul::matmul;
use super::packed::{PANEL, PackedMatrix, Strided};

/// Rows that one pass over all panels works on: so often is the right-hand side read from memory.
const ROW_BLOCK: usize = 96;
/// Rows of a product's step: two tiles.
pub(super) const ROWS: usize = 2 * TILE;

/// Sums of two tiles of rows with up to two panels.
#[repr(C, align(64))]
pub(super) struct Sums(pub [[[[f32; PANEL]; TILE]; 2]; 2]);

/// A unit that is there.
pub(super) trait Unit: Copy {
    /// The calling thread's hold on it.
    type Session;

    fn begin(self) -> Self::Session;

    /// `ROWS` rows of `a` (`[ROWS, k]`) times one or two panels of `b` (`[k, 16]` each).
    fn sums(session: &Self::Session, a: &[Pair], b: &[Pair], k: usize, sums: &mut Sums);
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
use absent::Absent as Amx;
#[cfg(not(target_arch = "x86_64"))]
use absent::Absent as Dot;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod absent {
    use super::{Pair, Sums, Unit};

    /// A unit of other machines than this.
    #[derive(Clone, Copy, Debug)]
    pub enum Absent {}

    impl Absent {
        pub fn detect() -> Option<Absent> {
            None
        }
    }

    impl Unit for Absent {
        type Session = Absent;

        fn begin(self) -> Absent {
            self
        }

        fn sums(absent: &Absent, _: &[Pair], _: &[Pair], _: usize, _: &mut Sums) {
            match *absent {}
        }
    }
}

/// A kind of unit that multiplies pairs of bf16. Each adds in an order of its own, so their results differ in bits.
#[derive(Clone, Copy, Debug)]
pub enum PairUnit {
    /// AMX
    Amx(Amx),
    /// AVX512-BF16
    Dot(Dot),
}

/// The unit that [`matmul_pairs`] uses on this CPU.
pub fn pair_unit() -> Option<PairUnit> {
    Amx::detect().map(PairUnit::Amx).or_else(|| Dot::detect().map(PairUnit::Dot))
}

/// `out[m x n] = finish(a[m x k] · b[k x n])` of pairs as [`Pair::of_rows`] gives them: on a unit for them where the CPU has one.
pub fn matmul_pairs(
    m: usize,
    a: &[Pair],
    b: &PackedMatrix<Pair>,
    out: &mut [f32],
    out_stride: usize,
    epilogue: &impl Epilogue,
) {
    match pair_unit().filter(|_| b.k > 0) {
        Some(PairUnit::Amx(unit)) => multiply(Product { unit, m, a, b, out, out_stride, epilogue }),
        Some(PairUnit::Dot(unit)) => multiply(Product { unit, m, a, b, out, out_stride, epilogue }),
        None => matmul(m, Strided::rows(a, b.k), b, out, out_stride, epilogue),
    }
}

struct Product<'a, U, E> {
    unit: U,
    m: usize,
    a: &'a [Pair],
    b: &'a PackedMatrix<Pair>,
    out: &'a mut [f32],
    out_stride: usize,
    epilogue: &'a E,
}

fn multiply<U: Unit, E: Epilogue>(product: Product<U, E>) {
    let Product { m, a, b, out, out_stride, .. } = &product;
    if *m == 0 || b.n == 0 {
        return;
    }
    assert!((m - 1) * out_stride + b.n <= out.len() && b.n <= *out_stride, "result too short");
    // The units read without bounds checks: these are the checks.
    assert!(m.next_multiple_of(ROWS) * b.k <= a.len() && b.k.is_multiple_of(TILE), "left side too short");
    assert!(b.n.div_ceil(PANEL) * b.k * PANEL <= b.data.len(), "right side too short");
    widest(product);
}

impl<U: Unit, E: Epilogue> Kernel for Product<'_, U, E> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Product { unit, m, a, b, out, out_stride, epilogue } = self;
        let panels = b.n.div_ceil(PANEL);
        let mut sums = Sums([[[[0.0; PANEL]; TILE]; 2]; 2]);
        let session = unit.begin();
        for block in (0..m).step_by(ROW_BLOCK) {
            for panel in (0..panels).step_by(2) {
                let count = (panels - panel).min(2);
                let right = &b.data[panel * b.k * PANEL..(panel + count) * b.k * PANEL];
                for first in (block..m.min(block + ROW_BLOCK)).step_by(ROWS) {
                    U::sums(&session, &a[first * b.k..(first + ROWS) * b.k], right, b.k, &mut sums);
                    for row in first..m.min(first + ROWS) {
                        for (index, sums) in sums.0[(row - first) / TILE][..count].iter().enumerate() {
                            let sums = &sums[(row - first) % TILE];
                            let column = (panel + index) * PANEL;
                            let start = row * out_stride + column;
                            match b.n - column {
                                // A constant width lets the epilogue run as whole vectors.
                                PANEL.. => epilogue.finish(column, sums, &mut out[start..start + PANEL]),
                                columns => epilogue.finish(column, sums, &mut out[start..start + columns]),
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bias;
    use super::*;

    /// Numbers that bf16 holds.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 101) % 255) as f32 / 64.0 - 2.0).collect()
    }

    /// The portable form, that of each unit that this CPU has, and the one that is chosen.
    fn forms(m: usize, a: &[Pair], b: &PackedMatrix<Pair>, bias: &[f32]) -> Vec<Vec<f32>> {
        let (n, epilogue) = (b.n, &Bias(bias));
        let mut forms = vec![vec![f32::NAN; m * n]; 2];
        matmul(m, Strided::rows(a, b.k), b, &mut forms[0], n, epilogue);
        matmul_pairs(m, a, b, &mut forms[1], n, epilogue);
        if let Some(unit) = Amx::detect() {
            let mut out = vec![f32::NAN; m * n];
            multiply(Product { unit, m, a, b, out: &mut out, out_stride: n, epilogue });
            forms.push(out);
        }
        if let Some(unit) = Dot::detect() {
            let mut out = vec![f32::NAN; m * n];
            multiply(Product { unit, m, a, b, out: &mut out, out_stride: n, epilogue });
            forms.push(out);
        }
        forms
    }

    #[test]
    fn products_of_pairs_agree_with_double_precision_for_any_shape() {
        println!("the unit of this CPU: {:?}", pair_unit());
        for (m, k, n) in [(1, 1, 1), (6, 64, 16), (7, 41, 40), (61, 80, 25), (109, 1300, 40), (97, 640, 33)] {
            let (a, b, bias) = (numbers(m * k, 1), numbers(n * k, 2), numbers(n, 3));
            let (mut left, mut right) = (Vec::new(), Vec::new());
            Pair::of_rows(&a, k, k, &mut left);
            Pair::of_rows(&b, k, k, &mut right);
            let width = Pair::in_row(k);
            let packed = PackedMatrix::new(width, n, Strided::transposed(&right, width));
            let found = forms(m, &left, &packed, &bias);
            for row in 0..m {
                for column in 0..n {
                    let products = (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[column * k + i]));
                    let exact = products.sum::<f64>() + f64::from(bias[column]);
                    for found in &found {
                        let found = f64::from(found[row * n + column]);
                        assert!((found - exact).abs() < 1e-5 * (k as f64 + 1.0), "{m} {k} {n}");
                    }
                }
                Pair::of_rows(&a[row * k..(row + 1) * k], k, k, &mut left);
                for (alone, found) in forms(1, &left, &packed, &bias).iter().zip(&found) {
                    assert_eq!(*alone, found[row * n..(row + 1) * n], "a row has the same bits alone");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_left_side_that_is_too_short_is_caught() {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        Pair::of_rows(&[1.0; 4], 2, 2, &mut left);
        Pair::of_rows(&[1.0; 4], 2, 2, &mut right);
        let packed = PackedMatrix::new(16, 2, Strided::transposed(&right, 16));
        matmul_pairs(33, &left, &packed, &mut [0.0; 66], 2, &Bias(&[0.0; 2]));
    }
}
