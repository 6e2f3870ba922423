//! Sorting of any number of rows of fixed width: sorted runs in one temporary file, merged as they are read.

use super::{HELD_BYTES, failed};
use crate::error::Result;
use rayon::slice::ParallelSliceMut;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::thread::available_parallelism;

/// A row; rows are in the order of their first number, then of the second, and so on.
pub type Row<const N: usize> = [u64; N];

/// Bytes of a run that are read at once.
const READ_BYTES: usize = 64 << 10;

/// From so many rows on a sort is worth the threads.
const PARALLEL_ROWS: usize = 1 << 16;

/// Sorts on all processors that are granted. (rayon's own pool is held to one thread for the sake of products.)
pub fn sort<T: Ord + Send>(rows: &mut [T]) {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = || {
        let threads = available_parallelism().map_or(1, usize::from);
        ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "sort".to_string()).build().ok()
    };
    let pool = if rows.len() < PARALLEL_ROWS { None } else { POOL.get_or_init(pool).as_ref() };
    match pool {
        Some(pool) => pool.install(|| rows.par_sort_unstable()),
        None => rows.sort_unstable(),
    }
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
        let mut bytes = Vec::with_capacity(READ_BYTES);
        for rows in self.held.chunks((READ_BYTES / size_of::<Row<N>>()).max(1)) {
            bytes.clear();
            bytes.extend(rows.iter().flatten().flat_map(|number| number.to_le_bytes()));
            file.write_all(&bytes).map_err(failed)?;
        }
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
        let runs: Vec<Run<N>> =
            self.runs.iter().map(|run| Run { left: run.clone(), read: Vec::new().into_iter() }).collect();
        let mut rows = Rows { sorted: self, held: self.held.iter(), runs, next: BinaryHeap::new() };
        if !self.runs.is_empty() {
            (0..=rows.runs.len()).try_for_each(|run| rows.refill(run))?;
        }
        Ok(rows)
    }

    /// Hands over the rows in order, each with its place among all rows and the places of those that have the same
    /// key. Rows of one key must be neighbours.
    pub fn by_run<K: PartialEq>(
        &self,
        key: impl Fn(&Row<N>) -> K,
        mut visit: impl FnMut(&Row<N>, u64, &Range<u64>) -> Result<()>,
    ) -> Result<()> {
        // One reader runs ahead to where a run ends; the other follows with its rows.
        let (mut ahead, mut behind) = (self.rows()?, self.rows()?);
        let mut next = ahead.next().transpose()?;
        let mut start = 0;
        while let Some(first) = next {
            let of = key(&first);
            let mut end = start + 1;
            next = loop {
                match ahead.next().transpose()? {
                    Some(row) if key(&row) == of => end += 1,
                    other => break other,
                }
            };
            for (place, row) in (start..end).zip(&mut behind) {
                visit(&row?, place, &(start..end))?;
            }
            start = end;
        }
        Ok(())
    }
}

/// The rows of a [`Sorted`], in order.
pub struct Rows<'a, const N: usize> {
    sorted: &'a Sorted<N>,
    /// The rows in memory, which count as the last run
    held: std::slice::Iter<'a, Row<N>>,
    runs: Vec<Run<N>>,
    /// The first row of each run that has any left
    next: BinaryHeap<Reverse<(Row<N>, usize)>>,
}

/// A run in the file: the rows that are not read yet, and those that are and were not handed on.
struct Run<const N: usize> {
    left: Range<u64>,
    read: std::vec::IntoIter<Row<N>>,
}

impl<const N: usize> Rows<'_, N> {
    /// Takes the next row of a run among those that are compared.
    fn refill(&mut self, run: usize) -> Result<()> {
        let row = match self.runs.get_mut(run) {
            None => self.held.next().copied(),
            Some(of) => {
                if of.read.len() == 0 {
                    of.read = self.sorted.read(&mut of.left)?.into_iter();
                }
                of.read.next()
            }
        };
        self.next.extend(row.map(|row| Reverse((row, run))));
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Row<N>>> {
        if self.runs.is_empty() {
            // nothing to merge
            return Ok(self.held.next().copied());
        }
        let Some(Reverse((row, run))) = self.next.pop() else { return Ok(None) };
        self.refill(run)?;
        Ok(Some(row))
    }
}

impl<const N: usize> Iterator for Rows<'_, N> {
    type Item = Result<Row<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl<const N: usize> Sorted<N> {
    /// Reads the next rows of a run, as many as are read at once, and takes them off what is left.
    fn read(&self, left: &mut Range<u64>) -> Result<Vec<Row<N>>> {
        let width = size_of::<Row<N>>();
        let rows = (left.end - left.start).min((READ_BYTES / width).max(1) as u64);
        let Some(file) = self.file.as_ref().filter(|_| rows > 0) else { return Ok(Vec::new()) };
        let mut bytes = vec![0; rows as usize * width];
        file.read_exact_at(&mut bytes, left.start * width as u64).map_err(failed)?;
        left.start += rows;
        let (numbers, _) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        Ok((0..rows).map(|_| std::array::from_fn(|_| numbers.next().unwrap_or_default())).collect())
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
    fn runs_longer_than_what_is_read_at_once_are_read_on() {
        let rows: Vec<Row<2>> =
            (0..20_000).map(|i: u64| [i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i]).collect();
        let found: Vec<Row<2>> = sorted(&rows, 9_000).rows().unwrap().map(Result::unwrap).collect();
        assert!(found.len() == rows.len() && found.is_sorted());
    }
}
