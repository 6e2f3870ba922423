//! Row groups of scores, gone through side by side.

use super::check::RowCheck;
use super::parquet_reader::ParquetFile;
use super::parquet_schema::CANDIDATE_COLUMNS;
use super::set::append_candidates;
use crate::error::{Error, Result};
use crate::selection::{Candidate, Visitor};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

/// Visitors at most, each of which holds a row group as it is stored: 28 MiB of what candidates are made of.
const MOST_VISITORS: usize = 16;

/// One of the row groups of all files of a scoring.
pub(super) struct RowGroup<'a> {
    pub file: &'a ParquetFile,
    /// Its number in the file
    pub index: usize,
    /// The ordinal of its first row among all rows
    pub first: u64,
    pub rows: u64,
}

/// The first and the last row of a row group.
#[derive(Clone)]
struct Ends<'a> {
    group: &'a RowGroup<'a>,
    first: Candidate,
    last: Candidate,
}

/// As many visitors as there is work and processors for.
pub(super) fn visitors(groups: usize) -> usize {
    available_parallelism().map_or(1, usize::from).min(groups).min(MOST_VISITORS)
}

/// Hands the row groups to the visitors, each the next one that nobody has taken. Rows name one of so many sources, and
/// grow from the first row group to the last.
pub(super) fn visit(groups: &[RowGroup], sources: usize, visitors: &mut [Visitor<'_>]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let ended: Vec<Result<Vec<Ends>>> = thread::scope(|scope| {
        let next = &next;
        let take = |visitor| scope.spawn(move || visit_next(groups, sources, next, visitor));
        let threads: Vec<_> = visitors.iter_mut().map(take).collect();
        let panicked = |_| Err(Error::internal("a reader of scores panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let mut ends = ended.into_iter().collect::<Result<Vec<_>>>()?.concat();
    ends.sort_by_key(|ends| ends.group.first);
    let mut check = RowCheck::new(sources);
    for Ends { group, first, last } in ends {
        check.next_candidate(&first).map_err(|e| group.wrong(&e))?;
        if first != last {
            check.next_candidate(&last).map_err(|e| group.wrong(&e))?;
        }
    }
    Ok(())
}

fn visit_next<'a>(
    groups: &'a [RowGroup<'a>],
    sources: usize,
    next: &AtomicUsize,
    visit: &mut Visitor,
) -> Result<Vec<Ends<'a>>> {
    let (mut ends, mut candidates) = (Vec::new(), Vec::new());
    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
        let visited = group.visit(sources, &mut candidates, visit);
        // What ends one of them ends all.
        let both = visited.inspect_err(|_| next.store(groups.len(), Ordering::Relaxed))?;
        ends.extend(both.map(|(first, last)| Ends { group, first, last }));
    }
    Ok(ends)
}

impl RowGroup<'_> {
    /// Gives the first row and the last one. `candidates` is memory to work in.
    fn visit(
        &self,
        sources: usize,
        candidates: &mut Vec<Candidate>,
        visit: &mut Visitor,
    ) -> Result<Option<(Candidate, Candidate)>> {
        let mut check = RowCheck::new(sources);
        let mut batches = self.file.group(&CANDIDATE_COLUMNS, self.index)?;
        let (mut ends, mut rows) = (None, 0);
        while let Some(batch) = batches.next()? {
            candidates.clear();
            append_candidates(&batch, candidates);
            candidates.iter().try_for_each(|c| check.next_candidate(c)).map_err(|e| self.wrong(&e))?;
            let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else { continue };
            ends = Some((ends.map_or(*first, |(first, _)| first), *last));
            visit(self.first.saturating_add(rows), candidates)?;
            rows += candidates.len() as u64;
        }
        if rows != self.rows {
            return Err(self.wrong(&format!("{rows} rows in a row group of {}", self.rows)));
        }
        Ok(ends)
    }

    fn wrong(&self, message: &str) -> Error {
        Error::bad_input(format!("{}: {message}", self.file.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::tests::metadata;
    use super::super::set::tests::file;
    use super::super::writer::tests::{rows, written};
    use super::super::{ScoreRow, Scores, ScoresFormat, ScoresMetadata};
    use super::*;
    use crate::selection::Candidates;
    use std::sync::Mutex;

    /// Scores of so many parts, each of one row group; `order` changes the rows of each.
    fn scores(parts: usize, rows: &[ScoreRow], order: impl Fn(usize, &mut Vec<ScoreRow>)) -> Scores {
        let part = |(i, rows): (usize, &[ScoreRow])| {
            let shard = format!("{}/{parts}", i + 1).parse().unwrap();
            let metadata = ScoresMetadata { shard: Some(shard), ..metadata() };
            let mut rows = rows.to_vec();
            order(i, &mut rows);
            file(
                &format!("{i}.parquet"),
                ScoresFormat::Parquet,
                written(ScoresFormat::Parquet, metadata, &rows),
            )
        };
        Scores::open(rows.chunks(rows.len().div_ceil(parts)).enumerate().map(part).collect()).unwrap()
    }

    /// What is handed to so many visitors, in the order of the ordinals.
    fn apart(scores: &Scores, visitors: usize) -> Result<Vec<Candidate>> {
        let found = Mutex::new(Vec::new());
        let visitor = |_| -> Visitor<'_> {
            Box::new(|first, candidates| {
                found.lock().unwrap().extend((first..).zip(candidates.iter().copied()));
                Ok(())
            })
        };
        scores.scan_apart(&mut (0..visitors).map(visitor).collect::<Vec<_>>())?;
        let mut found = found.into_inner().unwrap();
        found.sort_by_key(|(ordinal, _)| *ordinal);
        assert!(found.iter().map(|(ordinal, _)| *ordinal).eq(0..found.len() as u64));
        Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
    }

    #[test]
    fn every_row_goes_to_one_visitor_with_its_place_among_all() {
        let rows = rows(50_000);
        let scores = scores(7, &rows, |_, _| ());
        let expected: Vec<Candidate> = rows.iter().map(Candidate::from).collect();
        for visitors in [1, 2, 5, 9] {
            assert!(apart(&scores, visitors).unwrap() == expected, "{visitors}");
        }
    }

    #[test]
    fn row_groups_out_of_order_are_refused() {
        let (all, few) = (rows(700), rows(3));
        let between = scores(7, &all, |part, rows| {
            if part == 4 {
                *rows = all[..9].to_vec()
            }
        });
        let single = scores(3, &few, |part, rows| {
            if part == 2 {
                *rows = few[1..2].to_vec()
            }
        });
        for (scores, name) in [(between, "4.parquet"), (single, "2.parquet")] {
            let error = apart(&scores, 2).unwrap_err();
            assert!(error.message.contains(name) && error.message.contains("must grow"), "{error}");
        }
    }
}
