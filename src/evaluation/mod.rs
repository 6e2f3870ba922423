//! Whether training on one set of records beats training on another: the losses of repeated trainings, compared.
//!
//! A training's losses on held-out records are kept group by group ([`GroupLosses`]). Two conditions that were trained
//! under the same seeds are compared in pairs ([`compare`]): the mean difference, an interval from a bootstrap over groups
//! and seeds, one from the seeds alone, and a [`Verdict`] that asks both. [`compare_by_length`] tells for which lengths it holds.

mod bootstrap;
mod compare;
mod losses;

pub use bootstrap::bootstrap;
pub use compare::{Comparison, FEWEST_SEEDS, LengthClass, Verdict, compare, compare_by_length};
pub use losses::{Average, GroupLosses};
