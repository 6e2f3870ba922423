//! Finds the key at an exact rank by counting, in a few passes over the pool and in fixed memory.
//!
//! A pass counts keys in equal ranges, *cells*, of the windows that are still of interest; the cells that hold a wanted
//! rank are the next pass's windows. Once few enough keys lie in the windows, a pass collects them instead and
//! every cell is a single key. Two passes do for keys that spread out; heavy ties take a third and a fourth.

use super::keys::{Key, ORDINAL_BITS};
use super::pool::{Amount, Candidate, Candidates, each_apart};
use crate::error::{Code, Error, Result};

/// What a search may hold in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Counters of each thread, shared out over the windows
    pub counters: usize,
    /// Counters that a window has at least
    pub counters_each: usize,
    /// Keys that are collected
    pub collected: u64,
}

impl Limits {
    /// 2 MiB of counters a thread, which stay in a core's cache, and 32 MiB of collected keys, twice as they are put together.
    pub const DEFAULT: Limits = Limits { counters: 1 << 17, counters_each: 32, collected: 1 << 20 };
}

/// A range of keys of one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub first: Key,
    pub last: Key,
    /// What lies below `first` in its class
    pub below: Amount,
    pub within: Amount,
}

impl Cell {
    fn end(&self) -> u64 {
        self.below.records + self.within.records
    }

    /// From the start of this cell to the end of a later one.
    pub fn up_to(&self, last: &Cell) -> Cell {
        let within = Amount {
            records: last.end() - self.below.records,
            residues: last.below.residues + last.within.residues - self.below.residues,
        };
        Cell { last: last.last, within, ..*self }
    }
}

/// A range of keys to look into, with its class.
pub(super) type Window = (u32, Cell);

/// What one pass found: the cells that hold keys, in the order of class and key.
pub(super) struct Cells {
    cells: Vec<Cell>,
    /// Where the cells of each class begin, and one end more
    starts: Vec<usize>,
}

impl Cells {
    fn of(&self, class: u32) -> &[Cell] {
        &self.cells[self.starts[class as usize]..self.starts[class as usize + 1]]
    }

    /// The cell that holds the key of that rank, counted from 0 in its class.
    pub fn at(&self, class: u32, rank: u64) -> Result<&Cell> {
        let cells = self.of(class);
        let found = cells.get(cells.partition_point(|cell| cell.end() <= rank));
        found.filter(|cell| cell.below.records <= rank).ok_or_else(pool_changed)
    }
}

pub(super) fn pool_changed() -> Error {
    Error::new(Code::SourceChanged, "the scores changed while they were read")
}

/// The class of a record, and its key there.
pub(super) trait Keyed: Fn(u64, &Candidate) -> (u32, Key) + Sync {}

impl<K: Fn(u64, &Candidate) -> (u32, Key) + Sync> Keyed for K {}

/// A search over one pool, under one assignment of records to classes and keys.
pub(super) struct Search<'a, K> {
    pool: &'a dyn Candidates,
    keyed: K,
    limits: Limits,
    /// What each class holds
    pub totals: Vec<Amount>,
    /// The highest ordinal
    last_ordinal: u64,
}

impl<'a, K: Keyed> Search<'a, K> {
    /// Goes through the whole pool once. `priority_bits` holds the width of the priorities of each class.
    pub fn begin(
        pool: &'a dyn Candidates,
        limits: Limits,
        priority_bits: &[u32],
        keyed: K,
    ) -> Result<(Self, Cells)> {
        let unknown = Amount { records: u64::MAX, residues: u64::MAX };
        let windows = priority_bits.iter().zip(0..).map(|(bits, class)| {
            let last = (1 << (bits + ORDINAL_BITS)) - 1;
            (class, Cell { first: 0, last, below: Amount::default(), within: unknown })
        });
        let totals = vec![Amount::default(); priority_bits.len()];
        let mut search = Search { pool, keyed, limits, totals, last_ordinal: (1 << ORDINAL_BITS) - 1 };
        let cells = search.look_into(windows.collect())?;
        for (class, total) in search.totals.iter_mut().enumerate() {
            cells.of(class as u32).iter().for_each(|cell| *total += cell.within);
        }
        let records: u64 = search.totals.iter().map(|total| total.records).sum();
        if records > 1 << ORDINAL_BITS {
            return Err(Error::bad_input(format!(
                "{records} records; allowed are up to {}",
                1_u64 << ORDINAL_BITS
            )));
        }
        search.last_ordinal = records.saturating_sub(1);
        Ok((search, cells))
    }

    /// Whether so many keys are few enough to be collected, each in a cell of its own.
    pub fn collects(&self, records: u64) -> bool {
        records <= self.limits.collected
    }

    /// Goes through the pool once more, counting or collecting the keys in the windows. Windows do not overlap.
    pub fn look_into(&self, mut windows: Vec<Window>) -> Result<Cells> {
        windows.sort_by_key(|(class, window)| (*class, window.first));
        for (_, window) in &mut windows {
            // One priority: only the ordinals that there are can follow.
            if window.first >> ORDINAL_BITS == window.last >> ORDINAL_BITS {
                let last = (window.first >> ORDINAL_BITS << ORDINAL_BITS) + Key::from(self.last_ordinal);
                window.last = window.last.min(last);
            }
        }
        let records =
            windows.iter().fold(0_u64, |sum, (_, window)| sum.saturating_add(window.within.records));
        let finder = Finder::new(&windows, self.totals.len());
        let cells = if self.collects(records) { self.collect(&finder)? } else { self.count(&finder)? };
        let classes = 0..=self.totals.len() as u32;
        let starts = classes.map(|class| cells.partition_point(|(of, _)| *of < class)).collect();
        Ok(Cells { cells: cells.into_iter().map(|(_, cell)| cell).collect(), starts })
    }

    fn count(&self, finder: &Finder<'_>) -> Result<Vec<Window>> {
        let share = self.limits.counters / finder.windows.len().max(1);
        let bits = share.max(self.limits.counters_each).ilog2();
        let mut counters_end = 0;
        // For each window: how far a key is shifted down to its counter, and where its counters begin.
        let layout: Vec<(u32, usize)> = (finder.windows.iter())
            .map(|(_, window)| {
                let width = Key::BITS - (window.last - window.first).leading_zeros();
                let (shift, start) = (width.saturating_sub(bits), counters_end);
                counters_end += ((window.last - window.first) >> shift) as usize + 1;
                (shift, start)
            })
            .collect();
        let zeros = || vec![Amount::default(); counters_end];
        let counted = each_apart(self.pool, zeros, |counters, ordinal, candidate| {
            let (class, key) = (self.keyed)(ordinal, candidate);
            if let Some(i) = finder.find(class, key) {
                let (shift, start) = layout[i];
                counters[start + ((key - finder.windows[i].1.first) >> shift) as usize] +=
                    Amount::one(candidate.residues);
            }
        })?;
        let mut counters = zeros();
        for of_thread in counted {
            counters.iter_mut().zip(of_thread).for_each(|(sum, some)| *sum += some);
        }
        let mut cells = Vec::new();
        for ((class, window), (shift, start)) in finder.windows.iter().zip(layout) {
            let mut below = window.below;
            let range = ((window.last - window.first) >> shift) as usize;
            for (within, i) in counters[start..=start + range].iter().zip(0..) {
                if within.records > 0 {
                    let first = window.first + ((i as Key) << shift);
                    let last = window.last.min(first + ((1 << shift) - 1));
                    cells.push((*class, Cell { first, last, below, within: *within }));
                    below += *within;
                }
            }
        }
        Ok(cells)
    }

    fn collect(&self, finder: &Finder<'_>) -> Result<Vec<Window>> {
        let found = each_apart(self.pool, Vec::new, |found, ordinal, candidate| {
            let (class, key) = (self.keyed)(ordinal, candidate);
            if let Some(i) = finder.find(class, key) {
                found.push((i as u32, candidate.residues, key));
            }
        })?;
        let mut found = found.concat();
        found.sort_unstable_by_key(|(window, _, key)| (*window, *key));
        let mut below = Amount::default();
        let cells = found.iter().enumerate().map(|(i, (window, residues, key))| {
            let (class, of) = &finder.windows[*window as usize];
            if i == 0 || found[i - 1].0 != *window {
                below = of.below;
            }
            let cell = Cell { first: *key, last: *key, below, within: Amount::one(*residues) };
            below += cell.within;
            (*class, cell)
        });
        Ok(cells.collect())
    }

    /// The single-key cell at each (class, rank), counted from 0. `cells` holds what is known of them so far.
    pub fn keys_at(&self, cells: &Cells, targets: &[(u32, u64)]) -> Result<Vec<Cell>> {
        let known = targets.iter().map(|(class, rank)| cells.at(*class, *rank).copied());
        let mut found = known.collect::<Result<Vec<Cell>>>()?;
        loop {
            let open = targets.iter().zip(&found).filter(|(_, cell)| cell.first < cell.last);
            let mut windows: Vec<Window> = open.map(|((class, _), cell)| (*class, *cell)).collect();
            if windows.is_empty() {
                return Ok(found);
            }
            windows.sort_by_key(|(class, window)| (*class, window.first));
            windows.dedup_by_key(|(class, window)| (*class, window.first));
            let cells = self.look_into(windows)?;
            for ((class, rank), cell) in targets.iter().zip(&mut found) {
                if cell.first < cell.last {
                    *cell = *cells.at(*class, *rank)?;
                }
            }
        }
    }
}

/// Finds the window that a key lies in.
struct Finder<'a> {
    windows: &'a [Window],
    /// Where the windows of each class begin, and one end more
    starts: Vec<u32>,
}

impl<'a> Finder<'a> {
    fn new(windows: &'a [Window], classes: usize) -> Self {
        let start = |class| windows.partition_point(|(of, _)| *of < class) as u32;
        Finder { windows, starts: (0..=classes as u32).map(start).collect() }
    }

    #[inline]
    fn find(&self, class: u32, key: Key) -> Option<usize> {
        let (start, end) = (self.starts[class as usize] as usize, self.starts[class as usize + 1] as usize);
        let after = match end - start {
            0 => return None,
            1 => end,
            _ => start + self.windows[start..end].partition_point(|(_, window)| window.first <= key),
        };
        let i = after.checked_sub(1).filter(|i| *i >= start)?;
        let window = &self.windows[i].1;
        (window.first <= key && key <= window.last).then_some(i)
    }
}
