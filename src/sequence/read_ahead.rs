//! Work on a thread of its own that runs ahead of its reader by a few items.

use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Takes the items of a producer. `None` in the channel says that the producer ended in order, which a thread that
/// died cannot do.
pub(super) struct Outlet<T>(SyncSender<Option<Result<T>>>);

impl<T> Outlet<T> {
    /// Waits for room. False once nobody reads any more: the producer should end.
    pub(super) fn send(&self, item: T) -> bool {
        self.0.send(Some(Ok(item))).is_ok()
    }
}

/// The reader's end: the producer's items, then its error if it ended with one.
pub(super) struct ReadAhead<T> {
    items: Receiver<Option<Result<T>>>,
    ended: bool,
}

impl<T: Send + 'static> ReadAhead<T> {
    /// Starts `produce` on a thread; at most `depth` items wait to be read.
    pub(super) fn spawn(
        depth: usize,
        produce: impl FnOnce(&Outlet<T>) -> Result<()> + Send + 'static,
    ) -> Result<ReadAhead<T>> {
        let (sender, items) = sync_channel(depth);
        let run = move || {
            let outlet = Outlet(sender);
            // Nobody reads any more if these fail.
            if let Err(error) = produce(&outlet) {
                let _ = outlet.0.send(Some(Err(error)));
            }
            let _ = outlet.0.send(None);
        };
        thread::Builder::new()
            .name("read-ahead".to_string())
            .spawn(run)
            .map_err(|error| Error::internal("cannot start a reading thread").caused_by(error))?;
        Ok(ReadAhead { items, ended: false })
    }
}

impl<T> Iterator for ReadAhead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ended {
            return None;
        }
        let item = self.items.recv().unwrap_or_else(|_| Some(Err(Error::internal("a reading thread died"))));
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_an_error_ends_them() {
        let produce = |outlet: &Outlet<u32>| {
            (0..100).for_each(|item| assert!(outlet.send(item)));
            Err(Error::bad_input("cut"))
        };
        let mut ahead = ReadAhead::spawn(2, produce).unwrap();
        let items: Vec<u32> = ahead.by_ref().take(100).map(|item| item.unwrap()).collect();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        assert_eq!(ahead.next().unwrap().unwrap_err().message, "cut");
        assert!(ahead.next().is_none());
    }

    #[test]
    fn a_dead_producer_is_an_error_and_not_an_end() {
        let mut ahead: ReadAhead<u32> = ReadAhead::spawn(2, |_| panic!("on purpose")).unwrap();
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    }
}
