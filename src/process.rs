//! What Linux tells of memory in files of lines such as `VmRSS: 102400 kB`.

use std::fs;
use std::path::Path;

const SELF: &str = "/proc/self/status";

/// Bytes that the process holds.
pub fn resident() -> Option<u64> {
    bytes(Path::new(SELF), "VmRSS")
}

/// The most bytes that the process ever held.
pub fn peak() -> Option<u64> {
    bytes(Path::new(SELF), "VmHWM")
}

/// The line of a name, in bytes; `None` where there is no such file, line or number.
pub fn bytes(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|number| number * 1024)
}
