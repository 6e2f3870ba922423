//! Ctrl-C and termination: the first signal asks the job to end cleanly, the second ends the process at once.

use crate::error::{Code, Error, Result};
use crate::pipeline::CancelToken;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// The exit status of the signal that came, 0 while none has. Signals belong to the process, hence a static.
static SIGNALED: AtomicU8 = AtomicU8::new(0);

const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Sets `cancel` on the first SIGINT or SIGTERM. Both are caught from the moment this returns.
pub(super) fn cancel_on_signal(cancel: CancelToken) -> Result<()> {
    let failed = |error: std::io::Error| Error::internal("cannot listen for signals").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    drop(guard);
    let listen = async move {
        loop {
            let status = tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => TERMINATED,
            };
            if SIGNALED.swap(status, Ordering::SeqCst) != 0 {
                std::process::exit(i32::from(status));
            }
            log::warn!("stopping; once more to end at once");
            cancel.suspend();
        }
    };
    std::thread::Builder::new()
        .name("signals".to_string())
        .spawn(move || runtime.block_on(listen))
        .map_err(failed)?;
    Ok(())
}

/// Whether the last signal was a termination.
pub(super) fn terminated() -> bool {
    SIGNALED.load(Ordering::SeqCst) == TERMINATED
}

/// The exit status of an error: the table's, or the signal's where a signal was the cause.
pub(super) fn exit_status(error: &Error) -> u8 {
    match (error.code, SIGNALED.load(Ordering::SeqCst)) {
        (Code::Canceled | Code::Interrupted, status) if status != 0 => status,
        (code, _) => code.info().exit,
    }
}
