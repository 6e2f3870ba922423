//! Gradients of the curvature sample, kept on disk: scoring reads them back, so that their records go through the
//! encoder once instead of twice.

use super::reading::Place;
use crate::error::Result;
use crate::influence::RecordGradient;
use crate::spill::{self, Shelf, room};
use std::collections::HashMap;

/// Keeps the gradients that one worker computes.
pub(super) struct Keeper {
    shelf: Shelf,
    records: Vec<(Place, f64, spill::Place)>,
}

/// All that was kept.
#[derive(Default)]
pub(super) struct Kept {
    shelves: Vec<Shelf>,
    /// Which shelf a record's gradient is in, its loss and its place there
    records: HashMap<Place, (usize, f64, spill::Place)>,
    /// How long it took to compute what was kept
    pub seconds: f64,
}

impl Keeper {
    /// A keeper for each of so many workers, which take no more than `bytes` together.
    pub fn for_workers(workers: usize, bytes: u64) -> impl Iterator<Item = Keeper> {
        let each = room(bytes) / workers.max(1) as u64;
        std::iter::repeat_with(move || Keeper { shelf: Shelf::new(each), records: Vec::new() }).take(workers)
    }

    pub fn keep(&mut self, key: Place, gradient: &RecordGradient) {
        let place = self.shelf.put([gradient.delta, gradient.hidden]);
        self.records.extend(place.map(|place| (key, gradient.loss, place)));
    }
}

impl FromIterator<Keeper> for Kept {
    fn from_iter<T: IntoIterator<Item = Keeper>>(keepers: T) -> Self {
        let mut kept = Kept::default();
        for keeper in keepers {
            let shelf = kept.shelves.len();
            let records = keeper.records.into_iter();
            kept.records.extend(records.map(|(key, loss, place)| (key, (shelf, loss, place))));
            kept.shelves.push(keeper.shelf);
        }
        kept
    }
}

impl Kept {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The gradient of a record, of hidden states of size `d`, if it was kept; `numbers` is the memory that it is read into.
    pub fn gradient<'b>(
        &self,
        key: Place,
        d: usize,
        numbers: &'b mut Vec<f32>,
    ) -> Result<Option<RecordGradient<'b>>> {
        let Some((shelf, loss, place)) = self.records.get(&key) else { return Ok(None) };
        self.shelves[*shelf].get(*place, numbers)?;
        let (delta, hidden) = numbers.split_at(numbers.len() / 2);
        Ok(Some(RecordGradient::new(*loss, delta, hidden, d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_come_back_whoever_computed_them_and_others_do_not() {
        let factors = |key: u64| (0..6).map(|i| (key * 10 + i) as f32 / 7.0).collect::<Vec<_>>();
        let keepers = Keeper::for_workers(3, 3 << 20).zip(0..).map(|(mut keeper, worker)| {
            for key in [worker, worker + 10] {
                let (delta, hidden) = (factors(key), factors(key + 100));
                keeper.keep((7, key), &RecordGradient::new(key as f64 / 3.0, &delta, &hidden, 3));
            }
            keeper
        });
        let kept: Kept = keepers.collect();
        assert_eq!(kept.len(), 6);
        let mut numbers = Vec::new();
        for key in [12, 0, 1, 11, 2, 10] {
            let gradient = kept.gradient((7, key), 3, &mut numbers).unwrap().unwrap();
            assert_eq!((gradient.loss, gradient.positions()), (key as f64 / 3.0, 2));
            assert_eq!((gradient.delta, gradient.hidden), (&factors(key)[..], &factors(key + 100)[..]));
        }
        assert!(kept.gradient((7, 3), 3, &mut numbers).unwrap().is_none());
        assert!(kept.gradient((8, 0), 3, &mut numbers).unwrap().is_none());
    }
}
