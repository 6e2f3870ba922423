//! What the queue asks of storage: which objects a job reads, and whether its results are still there.

use crate::error::Result;

/// One object or file, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectInfo {
    /// Its URI or local path
    pub location: String,
    /// In bytes
    pub size: u64,
    /// Changes with the content; a store that has none gives `None`
    pub etag: Option<String>,
}

/// The storage as the queue sees it. Both block.
pub trait Objects: Send + Sync {
    /// The objects that a location names: itself, or what a glob, a directory or a prefix holds.
    ///
    /// # Errors
    /// `input_not_found` where there are none, `forbidden` where the service may not read them.
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>>;

    /// Whether an object is there.
    fn exists(&self, location: &str) -> Result<bool>;
}
