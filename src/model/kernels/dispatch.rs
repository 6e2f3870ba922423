//! Kernels compiled twice: as the whole program is, and for AVX-512, which a CPU is asked for when it runs.

/// A kernel and what it works on. `run` is `#[inline(always)]`: it is compiled into each of its two callers.
pub(super) trait Kernel {
    type Output;

    /// `WIDE`: vectors are of 16 floats and there are 32 of them, against 8 and 16.
    fn run<const WIDE: bool>(self) -> Self::Output;
}

/// Runs a kernel in the widest form that the CPU has. Both give the same bits, as long as the order in which a kernel
/// adds does not depend on `WIDE`.
#[inline(always)]
pub(super) fn widest<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the CPU has what this function is compiled for.
        return unsafe { wide(kernel) };
    }
    kernel.run::<false>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}
