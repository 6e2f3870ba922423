//! Groups as numbers, and the names of those that were met first.

use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Names that are kept, so that memory is bounded; a group beyond them is shown by its number.
const MOST_NAMES: usize = 1 << 18;

/// The number that stands for no group.
pub(super) const NONE: u64 = 0;

/// The number of the group of that name; never [`NONE`].
pub(super) fn number(name: &[u8]) -> u64 {
    xxh3_64(name).max(1)
}

#[derive(Default)]
pub(super) struct Names(HashMap<u64, Box<str>>);

impl Names {
    /// The number of the group of that name, which is kept if there is room.
    pub fn number(&mut self, name: &[u8]) -> u64 {
        let number = number(name);
        self.keep(number, name);
        number
    }

    pub fn keep(&mut self, number: u64, name: &[u8]) {
        if self.0.len() < MOST_NAMES && !self.0.contains_key(&number) {
            self.0.insert(number, String::from_utf8_lossy(name).into());
        }
    }

    /// The group's name, or its number where the name was not kept.
    pub fn get(&self, group: u64) -> String {
        self.0.get(&group).map_or_else(|| format!("#{group:016x}"), |name| name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_while_there_is_room() {
        let mut names = Names::default();
        let first = names.number(b"RF00001");
        for i in 0..MOST_NAMES as u64 {
            names.number(&i.to_le_bytes());
        }
        let late = names.number(b"RF09999");
        assert_eq!(names.get(first), "RF00001");
        assert_eq!(names.get(late), format!("#{late:016x}"));
    }
}
