//! A stored Parquet file, read in windows: the Parquet reader asks for many small ranges of a few columns.

use crate::error::{Error, Result};
use crate::storage::{ObjectInfo, Storage};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes fetched at once.
const WINDOW: u64 = 4 << 20;
/// Windows kept: each of the two columns is read along its own; the rest serves where a page spans two.
const WINDOWS: usize = 4;

/// Runs the Parquet library over bytes that may be damaged: it believes lengths and counts that they hold, and panics where
/// these lead beyond the data.
pub(crate) fn decoded<T>(decode: impl FnOnce() -> parquet::errors::Result<T>) -> parquet::errors::Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(ParquetError::General("its lengths or counts lead beyond the data".to_string()))
    })
}

#[derive(Clone)]
pub(super) struct ParquetObject {
    storage: Storage,
    info: ObjectInfo,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// (number of the window, its bytes), last used last
    windows: VecDeque<(u64, Bytes)>,
    /// Our own error, of which the Parquet reader keeps only the text
    failure: Option<Error>,
}

impl ParquetObject {
    pub(super) fn new(storage: Storage, info: ObjectInfo) -> ParquetObject {
        ParquetObject { storage, info, state: Arc::default() }
    }

    /// What an error of the Parquet reader means: the storage failed, or the file is damaged.
    pub(super) fn failure(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        let ours = self.state().failure.take();
        ours.unwrap_or_else(|| {
            Error::bad_input(format!("{}: the Parquet data is cut or damaged", self.info.location))
                .caused_by(error)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self, number: u64) -> Result<Bytes> {
        let mut state = self.state();
        let known = state.windows.iter().position(|(known, _)| *known == number);
        let window = match known.and_then(|at| state.windows.remove(at)) {
            Some((_, bytes)) => bytes,
            None => {
                let start = number * WINDOW;
                self.storage.read_range(&self.info, start..self.info.size.min(start + WINDOW))?
            }
        };
        state.windows.push_back((number, window.clone()));
        if state.windows.len() > WINDOWS {
            state.windows.pop_front();
        }
        Ok(window)
    }

    /// From `start` to the end of its window.
    fn rest_of_window(&self, start: u64) -> parquet::errors::Result<Bytes> {
        if start >= self.info.size {
            return Ok(Bytes::new());
        }
        let window = self.window(start / WINDOW).map_err(|error| self.keep(error))?;
        Ok(window.slice((start % WINDOW) as usize..))
    }

    fn keep(&self, error: Error) -> ParquetError {
        let text = error.to_string();
        self.state().failure = Some(error);
        ParquetError::General(text)
    }
}

impl Length for ParquetObject {
    fn len(&self) -> u64 {
        self.info.size
    }
}

impl ChunkReader for ParquetObject {
    type T = Windows;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Windows> {
        Ok(Windows { object: self.clone(), start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if end > self.info.size {
            return Err(ParquetError::EOF(format!("bytes {start}..{end} of {}", self.info.size)));
        }
        let first = self.rest_of_window(start)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        self.storage.read_range(&self.info, start..end).map_err(|error| self.keep(error))
    }
}

/// Reads on from a place, window by window.
pub(super) struct Windows {
    object: ParquetObject,
    start: u64,
}

impl Read for Windows {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.object.rest_of_window(self.start).map_err(io::Error::other)?;
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        self.start += length as u64;
        Ok(length)
    }
}
