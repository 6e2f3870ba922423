//! A number for each record, by the record's ordinal.

use super::{HELD_BYTES, failed, write};
use crate::error::Result;
use memmap2::Mmap;
use std::fmt;
use std::fs::File;

/// Takes the numbers in order.
pub struct ColumnWriter {
    held: Vec<u64>,
    most: usize,
    file: Option<File>,
    numbers: u64,
}

/// Numbers by ordinal, from 0.
pub struct Column(Form);

enum Form {
    Held(Vec<u64>),
    Mapped(Mmap),
}

impl Default for ColumnWriter {
    fn default() -> Self {
        ColumnWriter::holding(HELD_BYTES / size_of::<u64>())
    }
}

impl ColumnWriter {
    /// Holds up to so many numbers in memory.
    fn holding(most: usize) -> Self {
        ColumnWriter { held: Vec::new(), most: most.max(1), file: None, numbers: 0 }
    }

    pub fn push(&mut self, number: u64) -> Result<()> {
        if self.held.len() >= self.most {
            self.write()?;
        }
        self.held.push(number);
        self.numbers += 1;
        Ok(())
    }

    /// How many numbers there are so far.
    pub fn len(&self) -> u64 {
        self.numbers
    }

    pub fn is_empty(&self) -> bool {
        self.numbers == 0
    }

    fn write(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(failed)?),
        };
        write(file, &self.held)?;
        self.held.clear();
        Ok(())
    }

    pub fn finish(mut self) -> Result<Column> {
        if self.file.is_some() {
            self.write()?;
        }
        let Some(file) = self.file else { return Ok(Column(Form::Held(self.held))) };
        // SAFETY: the file has no name and no other handle: nothing changes or cuts it while it is mapped.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Column(Form::Mapped(map)))
    }
}

impl fmt::Debug for Column {
    /// Short, as there may be billions of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column of {} numbers", self.len())
    }
}

impl Column {
    /// The number of that ordinal; none beyond the last.
    #[inline]
    pub fn get(&self, ordinal: u64) -> Option<u64> {
        let index = usize::try_from(ordinal).ok()?;
        match &self.0 {
            Form::Held(numbers) => numbers.get(index).copied(),
            Form::Mapped(map) => map.as_chunks::<8>().0.get(index).map(|bytes| u64::from_ne_bytes(*bytes)),
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Form::Held(numbers) => numbers.len() as u64,
            Form::Mapped(map) => (map.len() / size_of::<u64>()) as u64,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_ordinal_in_memory_and_in_a_file() {
        for most in [1, 3, 10, 11, 100] {
            let mut writer = ColumnWriter::holding(most);
            (0..10).for_each(|i| writer.push(i * i).unwrap());
            assert_eq!(writer.len(), 10);
            let column = writer.finish().unwrap();
            let found: Vec<_> = (0..12).map(|i| column.get(i)).collect();
            let expected: Vec<_> = (0..12).map(|i| (i < 10).then_some(i * i)).collect();
            assert_eq!((found, column.len()), (expected, 10));
        }
        assert!(ColumnWriter::default().finish().unwrap().is_empty());
    }
}
