//! Selection: which records of a scored pool are kept, from their scores alone.
//!
//! A strategy is a [`Rule`]: five small choices, so that a new strategy is a new combination. [`select`] goes through
//! the pool a few times and finds, for each stratum, the exact key below which records are kept; then
//! [`Selection::stream`] goes through it once more and hands over the kept records in input order. Memory depends
//! neither on the size of the pool nor on those of the selection and its groups, but on the number of strata and of threads.
//!
//! Invariants: a selection depends on the influence, the record hashes, the lengths, the groups and the order of the
//! pool, and on nothing else; it holds exactly as many records as its budget asks for, whenever the pool has them; and with one
//! rule and one seed, the selection of a smaller budget is a subset of the selection of a larger one.

mod allot;
mod budget;
mod classify;
#[cfg(test)]
mod group_tests;
mod keys;
mod lengths;
mod options;
mod places;
mod pool;
#[cfg(test)]
mod reference;
mod rule;
mod search;
mod selected;
#[cfg(test)]
mod tests;

pub use lengths::LengthHistogram;
pub use options::{Budget, Cap, Shares, Strategy, StratifyBy};
pub use pool::{Amount, Candidate, Candidates, Visitor, scan_in_order};
pub use rule::{By, Rule, Stratify};
pub use selected::{Axis, Pick, Reason, Selection, Stratum, select};
