//! Writing a coreset: FASTA in BGZF, the records byte for byte.

use super::Record;
use crate::error::Result;
use crate::storage::{Committed, Location, ObjectWriter, Storage, io_error};
use noodles_bgzf::io::Writer;
use noodles_bgzf::io::writer::{Builder, CompressionLevel};

/// Writes records to a BGZF file, which appears whole on [`finish`](CoresetWriter::finish) or not at all. The same
/// records give the same bytes: blocks are cut by length alone, and neither times nor names are stored.
pub struct CoresetWriter {
    location: Location,
    writer: Writer<ObjectWriter>,
}

impl CoresetWriter {
    pub fn create(storage: &Storage, location: &Location) -> Result<CoresetWriter> {
        let object = storage.create(location)?;
        let writer =
            Builder::default().set_compression_level(CompressionLevel::default()).build_from_writer(object);
        Ok(CoresetWriter { location: location.clone(), writer })
    }

    pub fn write(&mut self, record: &Record) -> Result<()> {
        record.write_fasta(&mut self.writer).map_err(|error| io_error(&self.location, error))
    }

    /// Writes what is left and the end marker, and makes the file visible.
    pub fn finish(self) -> Result<Committed> {
        self.writer.finish().map_err(|error| io_error(&self.location, error))?.commit()
    }
}
