//! Giving up: asked for from any thread, noticed wherever work takes long.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Set from a signal handler or a request; whatever takes long looks at it often.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<AtomicU8>);

const RUN: u8 = 0;
const SUSPEND: u8 = 1;
const CANCEL: u8 = 2;

impl CancelToken {
    /// The job is to give up and to leave nothing behind.
    pub fn cancel(&self) {
        self.0.fetch_max(CANCEL, Ordering::Relaxed);
    }

    /// The job is to give up for now: what is done is committed, so that it goes on from there.
    pub fn suspend(&self) {
        self.0.fetch_max(SUSPEND, Ordering::Relaxed);
    }

    /// Whether the job is to give up, for good or for now.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed) != RUN
    }

    /// Whether the job is to give up for now.
    pub fn is_suspended(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SUSPEND
    }

    /// An error with code `canceled` once canceled.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            RUN => Ok(()),
            SUSPEND => Err(Error::suspended()),
            _ => Err(Error::canceled()),
        }
    }
}
