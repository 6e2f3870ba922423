//! Objects of the storage layer as the random reads that scores files need.

use crate::error::Result;
use crate::scores::RandomRead;
use crate::storage::{HeldObject, ObjectInfo, Storage};
use bytes::Bytes;
use std::ops::Range;

pub(super) struct StoredObject {
    storage: Storage,
    info: ObjectInfo,
}

impl StoredObject {
    pub fn new(storage: Storage, info: ObjectInfo) -> Self {
        StoredObject { storage, info }
    }
}

impl RandomRead for StoredObject {
    fn size(&self) -> Result<u64> {
        Ok(self.info.size)
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        self.storage.read_range(&self.info, range)
    }
}

impl RandomRead for HeldObject {
    fn size(&self) -> Result<u64> {
        Ok(self.info().size)
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        HeldObject::read_range(self, range)
    }
}
