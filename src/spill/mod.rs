//! What may be larger than the memory: rows of numbers in sorted order, columns with a number for each record, and
//! arrays that save computing them again.
//!
//! The first two are held in memory up to a limit. All lie in temporary files beyond it, which have no name and go
//! away with the process. (`TMPDIR` says where.)

mod column;
mod shelf;
mod sort;

pub use column::{Column, ColumnWriter};
pub use shelf::{Place, Shelf, room, warn_of_little_room};
pub use sort::{Row, Rows, Sorted, Sorter, sort};

use crate::error::{Code, Error, Result};
use std::fs::File;
use std::io::Write;

/// Bytes of rows or numbers that are held in memory.
const HELD_BYTES: usize = 32 << 20;

/// Bytes that are written at once: much more at a time is slower, where the system has to find large pages for it.
const WRITTEN_BYTES: usize = 64 << 10;

/// Appends numbers to a file.
fn write(file: &mut File, numbers: &[u64]) -> Result<()> {
    let bytes: &[u8] = bytemuck::cast_slice(numbers);
    bytes.chunks(WRITTEN_BYTES).try_for_each(|some| file.write_all(some)).map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Code::StorageFailed, format!("a temporary file in {}", std::env::temp_dir().display()))
        .caused_by(error)
}
