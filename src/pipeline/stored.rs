//! Objects of the storage layer as the random reads that scores files need.

use crate::error::Result;
use crate::scores::RandomRead;
use crate::storage::StoredObject;
use bytes::Bytes;
use std::ops::Range;

impl RandomRead for StoredObject {
    fn size(&self) -> Result<u64> {
        Ok(self.info().size)
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        StoredObject::read_range(self, range)
    }
}
