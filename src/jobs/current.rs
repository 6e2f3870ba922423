//! Which job this process computes, for its log: the layers that compute know of no job.

use super::id::JobId;
use parking_lot::RwLock;

/// One worker runs one job at a time, on threads of many layers: hence a static.
static CURRENT: RwLock<Option<CurrentJob>> = RwLock::new(None);

/// The job that is being computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentJob {
    pub id: String,
    /// The `traceparent` of the request that queued it
    pub trace: Option<String>,
}

/// The job that this process computes now, if any.
pub fn current() -> Option<CurrentJob> {
    CURRENT.read().clone()
}

/// Until it is dropped.
pub(super) struct Told;

pub(super) fn begin(id: &JobId, trace: Option<&str>) -> Told {
    *CURRENT.write() = Some(CurrentJob { id: id.to_string(), trace: trace.map(str::to_string) });
    Told
}

impl Drop for Told {
    fn drop(&mut self) {
        *CURRENT.write() = None;
    }
}
