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

/// Is handed slices of the pool, each with the ordinal of its first record.
pub type Visitor<'a> = Box<dyn FnMut(u64, &[Candidate]) -> Result<()> + Send + 'a>;

/// The pool: records in input order, which can be gone through any number of times.
pub trait Candidates: Sync {
    /// Hands over all records in input order, in slices of any length; the same at every call.
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()>;

    /// Visitors that [`scan_apart`](Candidates::scan_apart) has work for.
    fn visitors(&self) -> usize {
        1
    }

    /// Shares all records out among the visitors, each of which is called by a thread of its own: slices of any length, in any
    /// order, each with the ordinal of its first record.
    fn scan_apart(&self, visitors: &mut [Visitor<'_>]) -> Result<()> {
        scan_in_order(self, visitors)
    }

    /// The group of the record of that ordinal, counted from 0 in input order; none where it is a group of its own.
    fn group(&self, _ordinal: u64) -> Option<u64> {
        None
    }
}

/// Has the first visitor be handed all records, in order.
pub fn scan_in_order<P: Candidates + ?Sized>(pool: &P, visitors: &mut [Visitor<'_>]) -> Result<()> {
    let Some(visit) = visitors.first_mut() else { return Ok(()) };
    let mut ordinal = 0;
    pool.scan(&mut |candidates| {
        visit(ordinal, candidates)?;
        ordinal += candidates.len() as u64;
        Ok(())
    })
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
    let mut first = 0;
    pool.scan(&mut |candidates| {
        each_of(first, candidates, &mut visit)?;
        first += candidates.len() as u64;
        Ok(())
    })
}

/// The same in no order, on as many threads as the pool has work for, each with a state of its own. Gives the states.
pub(super) fn each_apart<S: Send>(
    pool: &dyn Candidates,
    state: impl Fn() -> S,
    visit: impl Fn(&mut S, u64, &Candidate) + Sync,
) -> Result<Vec<S>> {
    let mut states: Vec<S> = (0..pool.visitors().max(1)).map(|_| state()).collect();
    let visit = &visit;
    let mut visitors: Vec<Visitor> = Vec::with_capacity(states.len());
    for state in &mut states {
        visitors.push(Box::new(move |first, candidates| {
            each_of(first, candidates, |ordinal, candidate| visit(state, ordinal, candidate))
        }));
    }
    pool.scan_apart(&mut visitors)?;
    drop(visitors);
    Ok(states)
}

fn each_of(first: u64, candidates: &[Candidate], mut visit: impl FnMut(u64, &Candidate)) -> Result<()> {
    for (candidate, ordinal) in candidates.iter().zip(first..) {
        if !candidate.influence.is_finite() {
            return Err(Error::bad_input(format!(
                "record at source {}, position {}: influence is {}; allowed are finite numbers",
                candidate.source, candidate.position, candidate.influence
            )));
        }
        visit(ordinal, candidate);
    }
    Ok(())
}
