//! The pool that is selected from: scored records in input order.

use crate::error::{Error, Result};
use std::ops::AddAssign;

/// One scored record, as a selection sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Index of the source that the record is from
    pub source: u32,
    /// Where in its source the record is; grows in file order
    pub position: u64,
    /// The stable hash of (header, sequence), which draws depend on
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

    /// The group of the record of that ordinal, counted from 0 in input order; none where it is a group of its own.
    fn group(&self, _ordinal: u64) -> Option<u64> {
        None
    }
}

impl Candidates for Vec<Candidate> {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        visit(self)
    }
}

/// A number of records, and the residues they have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub records: u64,
    pub residues: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.records += other.records;
        self.residues += other.residues;
    }
}

impl Amount {
    /// One record of that length.
    pub(super) fn one(residues: u32) -> Amount {
        Amount { records: 1, residues: u64::from(residues) }
    }
}

/// Goes through the pool once, numbering the records from 0. Refuses influence that is not finite: it has no place in
/// any order.
pub(super) fn each(pool: &dyn Candidates, mut visit: impl FnMut(u64, &Candidate)) -> Result<()> {
    let mut ordinal = 0;
    pool.scan(&mut |candidates| {
        for candidate in candidates {
            if !candidate.influence.is_finite() {
                return Err(Error::bad_input(format!(
                    "record at source {}, position {}: influence is {}; allowed are finite numbers",
                    candidate.source, candidate.position, candidate.influence
                )));
            }
            visit(ordinal, candidate);
            ordinal += 1;
        }
        Ok(())
    })
}
