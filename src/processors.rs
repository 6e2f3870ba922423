//! Work on all processors that are granted.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;
use std::thread::available_parallelism;

/// Has rayon's operations in `work` take all processors. (Its own pool is held to one thread for the sake of products.)
pub fn on_all<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = || {
        let threads = available_parallelism().map_or(1, usize::from);
        ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "processors".to_string()).build().ok()
    };
    match POOL.get_or_init(pool) {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
