//! What the queue asks of storage: which objects a job reads, and whether its results are still there.

use crate::error::Result;
use crate::storage::{Location, ObjectInfo, Storage, Traffic};

/// The storage as the queue sees it. Both block.
pub trait Objects: Send + Sync {
    /// The objects that a location names: itself, or what a glob, a directory or a prefix holds.
    ///
    /// # Errors
    /// `input_not_found` where there are none, `forbidden` where the service may not read them.
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>>;

    /// Whether an object is there.
    fn exists(&self, location: &str) -> Result<bool>;

    /// What has passed to and from stores so far.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

impl Objects for Storage {
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>> {
        Storage::list(self, location)
    }

    fn exists(&self, location: &str) -> Result<bool> {
        Storage::exists(self, &location.parse::<Location>()?)
    }

    fn traffic(&self) -> Traffic {
        Storage::traffic(self)
    }
}
