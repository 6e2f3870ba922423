//! Batches through worker threads, results back in order: reading, computing and writing overlap.

use super::CancelToken;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Batches under way for each worker: one that it computes and two that wait, so that it never idles.
const BATCHES_PER_WORKER: usize = 3;

/// Computes batches; each runs on a thread of its own.
pub(super) trait Worker: Send {
    type Batch: Send;
    type Output: Send;

    fn run(&mut self, batch: Self::Batch) -> Result<Self::Output>;
}

/// Takes batches from `next` until there are none, has the workers compute them, and hands the outputs to `sink` in
/// the order of their batches. Gives the workers back. Memory is bounded by a fixed number of batches.
pub(super) fn in_order<W: Worker>(
    workers: Vec<W>,
    cancel: &CancelToken,
    mut next: impl FnMut() -> Result<Option<W::Batch>> + Send,
    mut sink: impl FnMut(W::Output) -> Result<()>,
) -> Result<Vec<W>> {
    let window = workers.len() * BATCHES_PER_WORKER;
    let gate = Gate::default();
    let (batches, taken) = sync_channel::<(usize, W::Batch)>(window);
    let taken = Mutex::new(taken);
    let (outputs, finished) = sync_channel::<(usize, Result<W::Output>)>(window);
    thread::scope(|scope| {
        let reader = scope.spawn({
            let (gate, cancel) = (&gate, cancel.clone());
            // An error closes the channel too: what was read before it is still computed, and then told.
            move || -> Result<()> {
                for index in 0.. {
                    cancel.check()?;
                    let Some(batch) = next()? else { break };
                    if !gate.wait_below(index, window) || batches.send((index, batch)).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        });
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let (taken, outputs) = (&taken, outputs.clone());
                scope.spawn(move || work(worker, taken, &outputs))
            })
            .collect();
        drop(outputs);
        let drained = drain(&finished, cancel, &gate, &mut sink);
        // Whatever ended it, nobody waits any longer.
        gate.close();
        drop(finished);
        let read = reader.join().unwrap_or_else(|_| Err(Error::internal("the reading thread panicked")));
        let mut workers = Vec::with_capacity(threads.len());
        for thread in threads {
            workers.push(thread.join().map_err(|_| Error::internal("a computing thread panicked"))?);
        }
        drained.and(read).map(|()| workers)
    })
}

fn work<W: Worker>(
    mut worker: W,
    batches: &Mutex<Receiver<(usize, W::Batch)>>,
    outputs: &SyncSender<(usize, Result<W::Output>)>,
) -> W {
    loop {
        let taken = locked(batches).recv();
        let Ok((index, batch)) = taken else { return worker };
        // A panic fails the job with a message, and no thread waits for an output that will not come.
        let output = catch_unwind(AssertUnwindSafe(|| worker.run(batch)))
            .unwrap_or_else(|_| Err(Error::internal("computing a batch panicked")));
        if outputs.send((index, output)).is_err() {
            return worker;
        }
    }
}

fn drain<T>(
    finished: &Receiver<(usize, Result<T>)>,
    cancel: &CancelToken,
    gate: &Gate,
    sink: &mut impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut expected = 0;
    for (index, output) in finished {
        cancel.check()?;
        waiting.insert(index, output?);
        while let Some(output) = waiting.remove(&expected) {
            sink(output)?;
            expected += 1;
            gate.advance(expected);
        }
    }
    Ok(())
}

/// Holds the reader back while the oldest batch is still being computed.
#[derive(Default)]
struct Gate {
    done: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Gate {
    /// Waits until `index` is less than `window` ahead; false once closed.
    fn wait_below(&self, index: usize, window: usize) -> bool {
        let done = locked(&self.done);
        let done = self
            .changed
            .wait_while(done, |done| *done != Some(usize::MAX) && index >= done.unwrap_or(0) + window)
            .unwrap_or_else(PoisonError::into_inner);
        *done != Some(usize::MAX)
    }

    fn advance(&self, done: usize) {
        *locked(&self.done) = Some(done);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.advance(usize::MAX);
    }
}

/// Nothing that is guarded here can be left half-changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Doubler;

    impl Worker for Doubler {
        type Batch = u64;
        type Output = u64;

        fn run(&mut self, batch: u64) -> Result<u64> {
            // Early batches take longest, so that outputs finish out of order.
            thread::sleep(Duration::from_micros(500 / (batch + 1)));
            match batch {
                13_000 => Err(Error::bad_input("thirteen")),
                13_001 => panic!("on purpose"),
                _ => Ok(2 * batch),
            }
        }
    }

    fn run(threads: usize, batches: Vec<u64>, cancel: &CancelToken) -> Result<Vec<u64>> {
        let mut batches = batches.into_iter();
        let mut outputs = Vec::new();
        let workers = (0..threads).map(|_| Doubler).collect();
        let given_back = in_order(
            workers,
            cancel,
            || Ok(batches.next()),
            |output| {
                outputs.push(output);
                Ok(())
            },
        )?;
        assert_eq!(given_back.len(), threads);
        Ok(outputs)
    }

    #[test]
    fn outputs_come_in_the_order_of_their_batches() {
        for threads in [1, 2, 5] {
            let outputs = run(threads, (0..200).collect(), &CancelToken::default()).unwrap();
            assert_eq!(outputs, (0..200).map(|batch| 2 * batch).collect::<Vec<_>>());
        }
        assert!(run(3, Vec::new(), &CancelToken::default()).unwrap().is_empty());
    }

    #[test]
    fn errors_and_panics_of_a_worker_end_the_run_with_their_message() {
        for (bad, message) in [(13_000, "thirteen"), (13_001, "panicked")] {
            let mut batches: Vec<u64> = (0..50).collect();
            batches[20] = bad;
            let error = run(2, batches, &CancelToken::default()).unwrap_err();
            assert!(error.message.contains(message), "{error}");
        }
    }

    #[test]
    fn errors_of_the_source_and_of_the_sink_end_the_run() {
        let cancel = CancelToken::default();
        let mut left = 30;
        let source = in_order(
            vec![Doubler, Doubler],
            &cancel,
            || {
                left -= 1;
                if left == 0 { Err(Error::bad_input("torn")) } else { Ok(Some(1)) }
            },
            |_| Ok(()),
        );
        assert!(source.is_err_and(|error| error.message.contains("torn")));
        let sink = in_order(vec![Doubler], &cancel, || Ok(Some(1)), |_| Err(Error::storage("full")));
        assert!(sink.is_err_and(|error| error.message.contains("full")));
    }

    #[test]
    fn a_canceled_run_ends() {
        let cancel = CancelToken::default();
        cancel.cancel();
        assert!(run(2, (0..1000).collect(), &cancel).is_err());
    }
}
