//! Writing a coreset: FASTA in BGZF, the records byte for byte; blocks are compressed side by side.

use super::{Record, bgzf};
use crate::error::Result;
use crate::storage::{Committed, Location, ObjectWriter, Storage, io_error};
use noodles_bgzf::io::MultithreadedWriter;
use noodles_bgzf::io::multithreaded_writer::Builder;

/// Writes records to a BGZF file, which appears whole on [`finish`](CoresetWriter::finish) or not at all. The same
/// records give the same bytes: blocks are cut by length alone, and neither times nor names are stored.
pub struct CoresetWriter {
    location: Location,
    writer: MultithreadedWriter<ObjectWriter>,
}

impl CoresetWriter {
    pub fn create(storage: &Storage, location: &Location) -> Result<CoresetWriter> {
        let object = storage.create(location)?;
        let writer = Builder::default().set_worker_count(bgzf::workers()).build_from_writer(object);
        Ok(CoresetWriter { location: location.clone(), writer })
    }

    pub fn write(&mut self, record: &Record) -> Result<()> {
        record.write_fasta(&mut self.writer).map_err(|error| io_error(&self.location, error))
    }

    /// Writes what is left and the end marker, and makes the file visible.
    pub fn finish(mut self) -> Result<Committed> {
        self.writer.finish().map_err(|error| io_error(&self.location, error))?.commit()
    }
}
