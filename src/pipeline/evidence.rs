//! What one pass over the scores tells of a selection: counts, repeated ids, confounds.

use super::groups::Pool;
use crate::cancel::CancelToken;
use crate::confounds::{Confounds, Observation, Observer};
use crate::error::Result;
use crate::scores::{Counts, ScoreRow};
use crate::selection::{Candidate, Candidates, Selection};
use crate::spill::sort;
use xxhash_rust::xxh3::xxh3_64;

/// Ids are counted for repeats in pools of up to this many records (128 MiB of hashes); larger pools are not counted.
const MOST_IDS_COUNTED: u64 = 1 << 24;

pub(super) struct Evidence {
    /// What the scores say became of the records
    pub counts: Counts,
    /// How many ids had occurred before, where they could be counted
    pub repeated_ids: Option<u64>,
    pub confounds: Confounds,
}

impl Evidence {
    /// Goes through all rows, until `needless` is set.
    pub fn gather(pool: &Pool<'_>, selection: &Selection, needless: &CancelToken) -> Result<Evidence> {
        let count_ids = selection.pool.records <= MOST_IDS_COUNTED;
        let capacity = if count_ids { selection.pool.records as usize } else { 0 };
        let mut ids: Vec<u64> = Vec::with_capacity(capacity);
        let mut observer = Observer::expecting(selection.pool.records);
        let mut ordinal = 0;
        let counts = pool.scores.read(&mut |rows| {
            pool.cancel.check().and_then(|()| needless.check())?;
            for row in rows {
                if count_ids {
                    ids.push(xxh3_64(row.id.as_bytes()));
                }
                let group = pool.group(ordinal);
                let kept = selection.pick(ordinal, &Candidate::from(row), group).is_some();
                observer.add(&observation(row, group, kept))?;
                ordinal += 1;
            }
            Ok(())
        })?;
        sort(&mut ids);
        let repeated = ids.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        drop(ids);
        let name = |group| pool.groups.map_or_else(String::new, |groups| groups.name(group));
        let confounds = observer.finish(pool.groups.is_some().then_some(&name), true)?;
        Ok(Evidence { counts, repeated_ids: count_ids.then_some(repeated), confounds })
    }
}

pub(super) fn observation(row: &ScoreRow, group: Option<u64>, kept: bool) -> Observation {
    let &ScoreRow { source, residues, loss, influence, .. } = row;
    Observation { source, residues, loss, influence, group, kept }
}
