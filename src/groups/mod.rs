//! Groups: which records belong together, by the table of a clusterer, by their headers, by the files they are in,
//! or by how alike their sequences are.
//!
//! A [`Grouper`] is given the records of a pool in input order and gives their [`Groups`]: a number for each record, the
//! hash of its group's name, so that groups depend neither on the order of the records nor on where their files lie.
//! A record that nothing gives a group is its own group. Memory does not grow with the pool or with the groups, four bytes a
//! record for near-duplicates aside.

mod grouper;
mod join;
mod names;
mod near;
mod options;
mod table;

pub use grouper::{Grouper, Groups};
pub use near::NEAR_BYTES;
pub use options::{Columns, GroupOptions, GroupSource};
