//! Leases: which of several services that share a bucket works on an output.
//!
//! A lease is a small object beside the output, made by a conditional put. Its holder writes it anew from time to time;
//! a service that has seen the same version for the whole term takes it over, by a put on the condition that it is
//! still that version. No clocks are compared: each service measures the term by its own.

use crate::error::{Code, Error, Result};
use crate::pipeline::CancelToken;
use crate::storage::{Location, Storage};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More than a lease ever has.
const MOST_BYTES: u64 = 4096;
/// A lease is renewed so many times in its term: two renewals may fail.
const RENEWALS: u32 = 3;

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    owner: String,
    /// Grows with each renewal, so that each is another version
    beat: u64,
    /// The term: seconds after which it lapses unless it is renewed
    seconds: u64,
}

impl Record {
    fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal("a lease does not fit into JSON").caused_by(error))
    }
}

/// The leases that one service takes.
pub struct Leases {
    storage: Storage,
    owner: String,
    term: Duration,
    /// Versions of others' leases, and when they were first seen
    seen: Mutex<HashMap<Location, (String, Instant)>>,
}

impl Leases {
    /// For the service named `owner`, the same after a restart and another for every other service.
    pub fn new(storage: Storage, owner: String, term: Duration) -> Leases {
        Leases { storage, owner, term, seen: Mutex::default() }
    }

    /// Takes the lease at `location`, and holds it until it is dropped; suspends the job of `cancel` if it is lost.
    ///
    /// # Errors
    /// `server_busy` while another service holds it; `storage_failed`.
    pub fn take(&self, location: &Location, cancel: &CancelToken) -> Result<Lease> {
        let mut record = Record { owner: self.owner.clone(), beat: 0, seconds: self.term.as_secs() };
        let mut etag = self.storage.put_if(location, record.to_json()?, None)?;
        if etag.is_none()
            && let Some((held, version)) = read(location, &self.storage)?
        {
            if held.owner != self.owner {
                self.has_lapsed(location, &held, &version)?;
                log::info!("{location}: the lease of {} has lapsed and is taken over", held.owner);
            }
            record.beat = held.beat + 1;
            etag = self.storage.put_if(location, record.to_json()?, Some(&version))?;
        }
        let Some(etag) = etag else { return Err(busy(location, "another service")) };
        self.seen.lock().remove(location);
        Ok(Lease::hold(
            Held { storage: self.storage.clone(), location: location.clone(), record, etag },
            cancel,
        ))
    }

    /// An error while the lease has not been the same for its whole term.
    fn has_lapsed(&self, location: &Location, held: &Record, version: &str) -> Result<()> {
        let mut seen = self.seen.lock();
        let (known, since) =
            seen.entry(location.clone()).or_insert_with(|| (version.to_string(), Instant::now()));
        if known != version {
            (*known, *since) = (version.to_string(), Instant::now());
        }
        match since.elapsed() >= Duration::from_secs(held.seconds) {
            true => Ok(()),
            false => Err(busy(location, &held.owner)),
        }
    }
}

fn busy(location: &Location, owner: &str) -> Error {
    Error::new(Code::ServerBusy, format!("{owner} works on this output (lease {location})"))
}

/// The lease that is there and its version; `None` if it has gone.
fn read(location: &Location, storage: &Storage) -> Result<Option<(Record, String)>> {
    let read = || {
        let info = storage.stat(location)?;
        let bytes = storage.read_range(&info, 0..info.size.min(MOST_BYTES))?;
        Ok::<_, Error>((bytes, info.etag.unwrap_or_default()))
    };
    match read() {
        Ok((bytes, etag)) => match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some((record, etag))),
            Err(error) => Err(Error::storage(format!("{location} is no lease: remove it")).caused_by(error)),
        },
        // renewed or released just now
        Err(error) if matches!(error.code, Code::InputNotFound | Code::SourceChanged) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A lease that this service holds and renews; released when it is dropped.
pub struct Lease {
    release: Option<Sender<()>>,
    renewing: Option<JoinHandle<()>>,
    held: Arc<Mutex<Held>>,
}

struct Held {
    storage: Storage,
    location: Location,
    record: Record,
    etag: String,
}

impl Lease {
    fn hold(held: Held, cancel: &CancelToken) -> Lease {
        let term = Duration::from_secs(held.record.seconds);
        let held = Arc::new(Mutex::new(held));
        let (release, released) = channel::<()>();
        let (renewed, cancel) = (held.clone(), cancel.clone());
        let renew = move || {
            let mut last = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = released.recv_timeout(term / RENEWALS) {
                let outcome = renewed.lock().renew();
                match outcome {
                    Ok(true) => last = Instant::now(),
                    Ok(false) => log::error!("{}: the lease was lost", renewed.lock().location),
                    Err(ref error) => log::warn!("the lease could not be renewed: {error}"),
                }
                if matches!(outcome, Ok(false)) || last.elapsed() >= term {
                    cancel.suspend();
                    return;
                }
            }
        };
        let renewing = std::thread::Builder::new().name("lease".to_string()).spawn(renew).ok();
        Lease { release: Some(release), renewing, held }
    }
}

impl Held {
    /// False once another service has it.
    fn renew(&mut self) -> Result<bool> {
        let next = Record { beat: self.record.beat + 1, ..self.record.clone() };
        match self.storage.put_if(&self.location, next.to_json()?, Some(&self.etag))? {
            Some(etag) => (self.record, self.etag) = (next, etag),
            // the answer to a put that was sent twice tells of the second
            None => match read(&self.location, &self.storage)? {
                Some((found, etag)) if found == next => (self.record, self.etag) = (found, etag),
                _ => return Ok(false),
            },
        }
        Ok(true)
    }

    fn release(&self) -> Result<()> {
        match read(&self.location, &self.storage)? {
            Some((found, _)) if found.owner == self.record.owner => self.storage.delete(&self.location),
            _ => Ok(()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(renewing) = self.renewing.take() {
            // it has logged what there is to tell
            let _ = renewing.join();
        }
        if let Err(error) = self.held.lock().release() {
            log::warn!("the lease could not be released, and lapses: {error}");
        }
    }
}
