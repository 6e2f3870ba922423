//! Selection: budgets and strategies over scores.

mod options;
pub use options::{Budget, Strategy};

use crate::error::Result;

/// One scored record, as a selection sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Index of the source that the record is from
    pub source: u32,
    /// Where in its source the record is; grows in file order
    pub position: u64,
    /// The stable hash of (header, sequence): draws depend on it and on nothing else of the record
    pub record_hash: u64,
    /// Length in residues
    pub residues: u32,
    /// Self-influence; larger is more influential
    pub influence: f32,
}

/// The pool: records in input order, which can be gone through any number of times.
pub trait Candidates {
    /// Hands over all records in input order, in slices of any length; the same at every call.
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()>;
}

impl Candidates for [Candidate] {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        visit(self)
    }
}
