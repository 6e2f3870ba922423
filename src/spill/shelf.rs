//! Arrays of numbers that are put away in a temporary file and read back in any order, up to a limit of bytes.

use super::failed;
use crate::error::Result;
use rustix::fs::StatFs;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What an array is counted as at least, so that a limit of bytes limits the number of places too.
const SMALLEST: u64 = 16 << 10;
/// `f_type` of a file system in memory (statfs(2)): what is put there frees none.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Arrays of f32 in a temporary file.
#[derive(Default)]
pub struct Shelf {
    file: Option<File>,
    end: u64,
    /// Bytes that may still be taken
    room: u64,
}

/// Where an array lies in its shelf.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: u64,
    numbers: usize,
}

/// The bytes that may be put away, at most `wanted`: a quarter of what the folder of temporary files has left, and
/// none where that is memory.
pub fn room(wanted: u64) -> u64 {
    match rustix::fs::statfs(std::env::temp_dir()) {
        Ok(system) if system.f_type as u64 != TMPFS_MAGIC => wanted.min(available(&system) / 4),
        _ => 0,
    }
}

/// A warning where the folder of temporary files has less left than what `work` may come to put there.
pub fn warn_of_little_room(work: &str, bytes: u64) {
    let folder = std::env::temp_dir();
    let Ok(left) = rustix::fs::statfs(&folder).map(|system| available(&system)) else { return };
    if left < bytes {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        log::warn!(
            "{work} may put up to {:.1} GiB into temporary files, and {} has {:.1} GiB left: TMPDIR names another folder",
            gib(bytes),
            folder.display(),
            gib(left)
        );
    }
}

fn available(system: &StatFs) -> u64 {
    system.f_bavail.saturating_mul(system.f_bsize as u64)
}

impl Shelf {
    /// Takes up to so many bytes.
    pub fn new(room: u64) -> Self {
        Shelf { room, ..Shelf::default() }
    }

    /// Puts numbers away, end to end; nothing, where there is no room for them or the file system takes no more.
    pub fn put(&mut self, parts: [&[f32]; 2]) -> Option<Place> {
        let numbers = parts.iter().map(|part| part.len()).sum();
        let size = (numbers * size_of::<f32>()) as u64;
        self.room = self.room.checked_sub(size.max(SMALLEST))?;
        match self.write(parts) {
            Ok(()) => {
                let start = self.end;
                self.end += size;
                Some(Place { start, numbers })
            }
            Err(error) => {
                log::warn!("{}: no more is kept there", failed(error));
                self.room = 0;
                None
            }
        }
    }

    fn write(&mut self, parts: [&[f32]; 2]) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let mut at = self.end;
        for bytes in parts.map(bytemuck::cast_slice::<f32, u8>) {
            file.write_all_at(bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Reads an array back in place of what `numbers` held.
    pub fn get(&self, place: Place, numbers: &mut Vec<f32>) -> Result<()> {
        numbers.resize(place.numbers, 0.0);
        match &self.file {
            Some(file) => file.read_exact_at(bytemuck::cast_slice_mut(numbers), place.start).map_err(failed),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_in_any_order_until_the_room_is_full() {
        let array = |i: usize| (0..i * 1000).map(|n| (n * i) as f32 - 7.5).collect::<Vec<_>>();
        let mut shelf = Shelf::new(SMALLEST * 8);
        let places: Vec<_> = (0..9).map(|i| shelf.put([&array(i), &array(1)])).collect();
        // 0 to 3 are counted as the smallest, 4 to 6 by size: 20, 24 and 28 kB beside 64 KiB of 128
        let kept: Vec<_> = places.iter().map(Option::is_some).collect();
        assert_eq!(kept, [true, true, true, true, true, true, false, false, false]);
        let mut numbers = vec![1.0; 3];
        for i in [4, 0, 3, 1, 2, 5] {
            shelf.get(places[i].unwrap(), &mut numbers).unwrap();
            assert_eq!(numbers, [array(i), array(1)].concat());
        }
    }

    #[test]
    fn no_more_is_taken_than_was_granted() {
        assert_eq!(room(0), 0);
        assert!(room(1 << 20) <= 1 << 20);
        assert!(Shelf::new(0).put([&[1.0], &[]]).is_none());
    }
}
