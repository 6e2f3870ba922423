//! The program: settings of the whole process, then the command line.

use std::process::ExitCode;

/// Batches take and give back large buffers from several threads: the system allocator of glibc holds on to them in
/// an arena for each thread, mimalloc gives them back, and is faster where many small strings are made.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // candle and gemm split each product over a pool as wide as the host has cores, whatever the cgroup grants. The
    // engine already gives each of its threads whole batches, so the pool is held to one thread.
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    bioprune::cli::main()
}
