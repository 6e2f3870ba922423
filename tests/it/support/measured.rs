//! The most memory that a process held.

use bioprune::process;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a command to its end; gives its status, what it said, and the most bytes that it held.
pub fn measured(command: &mut Command) -> (Option<i32>, String, u64) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(process::bytes(&status, "VmHWM").unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said, most)
}
