//! The numeric kernels of the CPU engine: plain slices in, plain slices out, one thread each.
//!
//! Every output element is one fixed chain of operations that depends on its own row alone: sums run in a fixed
//! order whatever the number of rows, so a row's result has the same bits in any batch and on any number of
//! threads. Nothing here allocates; callers bring scratch memory.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod attention;
mod dispatch;
#[cfg(target_arch = "x86_64")]
mod dot;
mod element;
mod epilogue;
mod math;
mod matmul;
mod norm;
mod packed;
mod rotary;
mod unit;

pub use attention::{AttentionScratch, attention};
pub use element::{Element, Pair};
pub use epilogue::{AddTo, Bias, BiasGelu, Epilogue, Store};
pub use math::{erf, exp, gelu, gelu_derivative, softmax, sum, swiglu};
pub use matmul::matmul;
pub use norm::{LayerNorm, layer_norm_backward, moments};
pub use packed::{PackedMatrix, Strided};
pub use rotary::Rotary;
pub use unit::{PairUnit, matmul_pairs, pair_unit};
