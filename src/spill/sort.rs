//! Sorting of any number of rows of fixed width: sorted runs in one temporary file, merged as they are read.

use super::{HELD_BYTES, failed, write};
use crate::error::Result;
use crate::processors::on_all;
use rayon::slice::ParallelSliceMut;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A row; rows are in the order of their first number, then of the second, and so on.
pub type Row<const N: usize> = [u64; N];

/// Bytes of a run that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Rows of one key that are held at most while their end is looked for.
const HELD_OF_A_RUN: usize = 1 << 12;

/// From so many rows on a sort is worth the threads.
const PARALLEL_ROWS: usize = 1 << 16;

/// Sorts on all processors that are granted.
pub fn sort<T: Ord + Send>(rows: &mut [T]) {
    if rows.len() < PARALLEL_ROWS { rows.sort_unstable() } else { on_all(|| rows.par_sort_unstable()) }
}

/// Takes rows in any order.
pub struct Sorter<const N: usize> {
    held: Vec<Row<N>>,
    most: usize,
    file: Option<File>,
    /// The rows of each run in the file
    runs: Vec<Range<u64>>,
}

/// Rows in order, which can be gone through any number of times. Equal rows are all there.
pub struct Sorted<const N: usize> {
    held: Vec<Row<N>>,
    file: Option<File>,
    runs: Vec<Range<u64>>,
    rows: u64,
}

impl<const N: usize> Default for Sorter<N> {
    fn default() -> Self {
        Sorter::holding(HELD_BYTES / size_of::<Row<N>>())
    }
}

impl<const N: usize> Sorter<N> {
    /// Holds up to so many rows in memory.
    fn holding(most: usize) -> Self {
        Sorter { held: Vec::new(), most, file: None, runs: Vec::new() }
    }

    /// For about so many rows: the memory is taken once, and not again and again as it grows.
    pub fn expecting(rows: u64) -> Self {
        let mut sorter = Sorter::default();
        sorter.held.reserve(sorter.most.min(usize::try_from(rows).unwrap_or(usize::MAX)));
        sorter
    }

    pub fn push(&mut self, row: Row<N>) -> Result<()> {
        if self.held.len() >= self.most {
            self.write_run()?;
        }
        self.held.push(row);
        Ok(())
    }

    fn write_run(&mut self) -> Result<()> {
        sort(&mut self.held);
        let start = self.runs.last().map_or(0, |run| run.end);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(failed)?),
        };
        write(file, self.held.as_flattened())?;
        self.runs.push(start..start + self.held.len() as u64);
        self.held.clear();
        Ok(())
    }

    pub fn sort(mut self) -> Sorted<N> {
        sort(&mut self.held);
        let rows = self.runs.last().map_or(0, |run| run.end) + self.held.len() as u64;
        Sorted { held: self.held, file: self.file, runs: self.runs, rows }
    }
}

impl<const N: usize> Sorted<N> {
    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows in order.
    pub fn rows(&self) -> Result<Rows<'_, N>> {
        let runs = self.runs.iter().map(|run| Run { left: run.clone(), read: Vec::new(), next: 0 }).collect();
        let mut runs = Runs { file: self.file.as_ref(), held: self.held.iter(), runs };
        let mut next = BinaryHeap::new();
        if !self.runs.is_empty() {
            for run in 0..=self.runs.len() {
                next.extend(runs.next(run)?.map(|row| Reverse((row, run))));
            }
        }
        Ok(Rows { runs, next })
    }

    /// Hands over the rows in order, each with its place among all rows and the places of those that have the same
    /// key. Rows of one key must be neighbours.
    pub fn by_run<K: PartialEq>(
        &self,
        key: impl Fn(&Row<N>) -> K,
        mut visit: impl FnMut(&Row<N>, u64, &Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        let mut next = rows.advance()?;
        let (mut start, mut held) = (0, Vec::new());
        // Reads what is too much to hold of a run again, and the number of rows that it has read.
        let mut behind: Option<(Rows<'_, N>, u64)> = None;
        while let Some(first) = next {
            let of = key(&first);
            held.clear();
            held.push(first);
            let mut end = start + 1;
            next = loop {
                match rows.advance()? {
                    Some(row) if key(&row) == of => {
                        end += 1;
                        if held.len() < HELD_OF_A_RUN {
                            held.push(row);
                        }
                    }
                    other => break other,
                }
            };
            let run = start..end;
            held.iter().zip(start..).try_for_each(|(row, place)| visit(row, place, &run))?;
            let rest = start + held.len() as u64..end;
            if !rest.is_empty() {
                let (rows, read) = match &mut behind {
                    Some(behind) => behind,
                    none => none.insert((self.rows()?, 0)),
                };
                for place in *read..end {
                    let row = rows.advance()?;
                    if let Some(row) = row.filter(|_| rest.contains(&place)) {
                        visit(&row, place, &run)?;
                    }
                }
                *read = end;
            }
            start = end;
        }
        Ok(())
    }
}

/// The rows of a [`Sorted`], in order.
pub struct Rows<'a, const N: usize> {
    runs: Runs<'a, N>,
    /// The first row of each run that has any left
    next: BinaryHeap<Reverse<(Row<N>, usize)>>,
}

impl<const N: usize> Rows<'_, N> {
    fn advance(&mut self) -> Result<Option<Row<N>>> {
        if self.runs.runs.is_empty() {
            // nothing to merge
            return Ok(self.runs.held.next().copied());
        }
        let Some(mut first) = self.next.peek_mut() else { return Ok(None) };
        let Reverse((row, run)) = *first;
        match self.runs.next(run)? {
            Some(next) => *first = Reverse((next, run)),
            None => {
                PeekMut::pop(first);
            }
        }
        Ok(Some(row))
    }
}

impl<const N: usize> Iterator for Rows<'_, N> {
    type Item = Result<Row<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// What is merged.
struct Runs<'a, const N: usize> {
    file: Option<&'a File>,
    runs: Vec<Run<N>>,
    /// The rows in memory, which count as the last run
    held: std::slice::Iter<'a, Row<N>>,
}

/// A run in the file: the rows that are not read yet, and those that are, of which some were handed on.
struct Run<const N: usize> {
    left: Range<u64>,
    read: Vec<Row<N>>,
    next: usize,
}

impl<const N: usize> Runs<'_, N> {
    /// The next row of a run.
    fn next(&mut self, run: usize) -> Result<Option<Row<N>>> {
        let Some(run) = self.runs.get_mut(run) else { return Ok(self.held.next().copied()) };
        if run.next == run.read.len()
            && let Some(file) = self.file
        {
            run.read_on(file)?;
        }
        run.next += 1;
        Ok(run.read.get(run.next - 1).copied())
    }
}

impl<const N: usize> Run<N> {
    /// Reads the next rows, as many as are read at once, and takes them off what is left.
    fn read_on(&mut self, file: &File) -> Result<()> {
        let width = size_of::<Row<N>>();
        let rows = (self.left.end - self.left.start).min((READ_BYTES / width).max(1) as u64);
        self.read.resize(rows as usize, [0; N]);
        let bytes = bytemuck::cast_slice_mut(self.read.as_flattened_mut());
        file.read_exact_at(bytes, self.left.start * width as u64).map_err(failed)?;
        self.left.start += rows;
        self.next = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(rows: &[Row<2>], most: usize) -> Sorted<2> {
        let mut sorter = Sorter::holding(most);
        rows.iter().for_each(|row| sorter.push(*row).unwrap());
        sorter.sort()
    }

    proptest! {
        #[test]
        fn rows_come_in_order_from_memory_or_from_files(
            rows in prop::collection::vec((0..20_u64, any::<u64>()).prop_map(|(a, b)| [a, b]), 0..300), most in 1..400_usize,
        ) {
            let mut expected = rows.clone();
            expected.sort();
            let sorted = sorted(&rows, most);
            for _ in 0..2 {
                let found: Vec<Row<2>> = sorted.rows().unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(&found, &expected);
            }
            prop_assert_eq!(sorted.len(), rows.len() as u64);
        }

        #[test]
        fn each_row_is_told_its_place_and_those_of_its_key(
            rows in prop::collection::vec([0..20_u64, 0..3_u64], 0..300), most in 1..400_usize,
        ) {
            let sorted = sorted(&rows, most);
            let mut places = 0;
            sorted
                .by_run(|row| row[0], |row, place, run| {
                    assert_eq!(place, places);
                    places += 1;
                    let below = rows.iter().filter(|other| other[0] < row[0]).count() as u64;
                    let same = rows.iter().filter(|other| other[0] == row[0]).count() as u64;
                    assert_eq!(*run, below..below + same);
                    Ok(())
                })
                .unwrap();
            prop_assert_eq!(places, rows.len() as u64);
        }
    }

    #[test]
    fn rows_of_a_key_that_are_too_many_to_hold_are_told_as_others() {
        let many = HELD_OF_A_RUN as u64;
        let key = |i: u64| [0, 7, 7, 9, 2][(i % 5) as usize] * u64::from(i < 4 * many) + i / (4 * many) * 10;
        let rows: Vec<Row<2>> = (0..5 * many).map(|i| [key(i), i]).collect();
        let mut expected = rows.clone();
        expected.sort();
        for most in [3 * HELD_OF_A_RUN, rows.len()] {
            let (mut found, mut runs) = (Vec::new(), Vec::new());
            let visit = |row: &Row<2>, place, run: &Range<u64>| {
                assert_eq!(place, found.len() as u64);
                found.push(*row);
                runs.push((row[0], run.clone()));
                Ok(())
            };
            sorted(&rows, most).by_run(|row| row[0], visit).unwrap();
            assert_eq!(found, expected);
            runs.dedup();
            let lengths: Vec<_> = runs.iter().map(|(key, run)| (*key, run.end - run.start)).collect();
            let count = |key| rows.iter().filter(|row| row[0] == key).count() as u64;
            assert_eq!(lengths, [0, 2, 7, 9, 10].map(|key| (key, count(key))));
            assert!(count(7) > many && count(10) == many);
        }
    }

    #[test]
    fn runs_longer_than_what_is_read_at_once_are_read_on() {
        let rows: Vec<Row<2>> =
            (0..20_000).map(|i: u64| [i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i]).collect();
        let found: Vec<Row<2>> = sorted(&rows, 9_000).rows().unwrap().map(Result::unwrap).collect();
        assert!(found.len() == rows.len() && found.is_sorted());
    }
}
