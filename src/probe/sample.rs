//! A uniform sample of bounded size out of a stream: what has the lowest keys, whatever the order it comes in.

use std::collections::BinaryHeap;

struct Kept<T> {
    key: u64,
    item: T,
}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Kept<T> {}

impl<T> PartialOrd for Kept<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Kept<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// At most `most` items, those of the lowest keys. Keys are hashes of what an item is.
pub struct Sample<T> {
    most: usize,
    /// The highest key on top
    kept: BinaryHeap<Kept<T>>,
    /// Items that were offered
    pub offered: u64,
}

impl<T> Sample<T> {
    pub fn new(most: usize) -> Self {
        Sample { most, kept: BinaryHeap::new(), offered: 0 }
    }

    /// Offers an item, which is made only where there is a place for it.
    pub fn offer(&mut self, key: u64, item: impl FnOnce() -> T) {
        self.offered += 1;
        if self.kept.len() == self.most {
            if self.kept.peek().is_none_or(|highest| highest.key <= key) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Kept { key, item: item() });
    }

    /// The items by their keys.
    pub fn into_items(self) -> Vec<T> {
        self.kept.into_sorted_vec().into_iter().map(|kept| kept.item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_keys_are_kept_in_any_order_of_offers() {
        let of = |keys: &[u64]| {
            let mut sample = Sample::new(3);
            keys.iter().for_each(|key| sample.offer(*key, || key * 10));
            (sample.offered, sample.into_items())
        };
        assert_eq!(of(&[5, 1, 4, 2, 9]), (5, vec![10, 20, 40]));
        assert_eq!(of(&[9, 2, 4, 1, 5]), (5, vec![10, 20, 40]));
        assert_eq!(of(&[7]), (1, vec![70]));
        let mut none = Sample::new(0);
        none.offer(1, || ());
        assert!(none.into_items().is_empty());
    }
}
