//! How much memory a job may take, and threads and batches that fit into it: what the cgroup of a container or of a
//! cluster's task grants, which the kernel enforces by killing.

use crate::process;
use std::fs;
use std::path::{Path, PathBuf};

/// The share of the limit that is planned with; readers, queues and the allocator have the rest.
const PLANNED: f64 = 0.8;
/// What a thread takes whatever the model: batches that wait for it and leave it, and the allocator's share. (Measured.)
const THREAD: u64 = 12 << 20;
/// Batches are not made smaller than this to keep threads: smaller products cost speed.
const SMALLEST_BATCH: usize = 512;

/// What one thread needs to compute with a model on the CPU, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// For each token of a batch: hidden state, queries, keys, values and what was attended to.
    pub token: u64,
    /// Whatever the batch: gradients and sums of the head's `[d, d]` weight.
    pub fixed: u64,
}

impl Need {
    /// Of a model with hidden states of size `d`.
    pub fn of_hidden_size(d: usize) -> Need {
        let d = d as u64;
        // f32: five vectors a token in the encoder, four in the head's gradient; a curvature sum is of 16 bytes, a
        // scorer holds four f32 matrices
        Need { token: 9 * d * 4, fixed: THREAD + 32 * d * d }
    }

    fn total(&self, threads: usize, batch_tokens: usize) -> u64 {
        threads as u64 * (self.fixed + self.token * batch_tokens as u64)
    }

    /// As many of `threads` and of a batch's tokens as `free` bytes hold, at least one thread: first batches become
    /// smaller, then threads fewer.
    pub fn fit(&self, free: u64, threads: usize, batch_tokens: usize) -> (usize, usize) {
        let (mut threads, mut batch_tokens) = (threads, batch_tokens);
        while self.total(threads, batch_tokens) > free && batch_tokens / 2 >= SMALLEST_BATCH {
            batch_tokens /= 2;
        }
        while self.total(threads, batch_tokens) > free && threads > 1 {
            threads -= 1;
        }
        (threads, batch_tokens)
    }
}

/// The bytes that are free to plan with, beside what the process holds by now; `None` where the system does not tell.
pub(super) fn free() -> Option<u64> {
    free_below(Path::new("/"))
}

fn free_below(root: &Path) -> Option<u64> {
    let limit = limit(root)?;
    let resident = process::bytes(&root.join("proc/self/status"), "VmRSS")?;
    Some(((limit as f64 * PLANNED) as u64).saturating_sub(resident))
}

/// The smallest of the machine's memory and of the limits of the process's cgroups, version 1 and 2.
fn limit(root: &Path) -> Option<u64> {
    let machine = process::bytes(&root.join("proc/meminfo"), "MemTotal");
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        smallest(&root.join(mount), Path::new(group.trim_start_matches('/')), file)
    });
    limits.chain(machine).min()
}

/// The smallest limit of a group and those around it. A container may see its own group as the mount's root, whatever
/// the group is named outside.
fn smallest(mount: &Path, group: &Path, file: &str) -> Option<u64> {
    let folders = group.ancestors().map(|part| mount.join(part));
    // without a limit version 2 says `max`, and version 1 a number beyond any machine
    folders
        .filter_map(|folder: PathBuf| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Paths below the root, and what they hold.
    type Files<'a> = &'a [(&'a str, &'a str)];

    /// A machine of 1,000 MiB whose process holds 100 MiB, with these files.
    fn machine(files: Files) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let always = [
            ("proc/meminfo", "MemTotal:  1024000 kB\n"),
            ("proc/self/status", "Name:\tx\nVmRSS:\t102400 kB\n"),
        ];
        for (path, text) in always.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_around_the_process_counts() {
        let cases: [(&str, Files, u64); 7] = [
            ("no cgroups", &[], 1000),
            (
                "version 2, no limit",
                &[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")],
                1000,
            ),
            (
                "version 2",
                &[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "524288000\n")],
                500,
            ),
            (
                "version 2, a limit further out",
                &[
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/memory.max", "419430400\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "524288000\n"),
                ],
                400,
            ),
            (
                "version 2 in a container that is named from outside",
                &[("proc/self/cgroup", "0::/pod/x\n"), ("sys/fs/cgroup/memory.max", "524288000\n")],
                500,
            ),
            (
                "version 1",
                &[
                    ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n0::/a\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "314572800\n"),
                ],
                300,
            ),
            (
                "version 1, more than there is",
                &[
                    ("proc/self/cgroup", "4:memory:/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ],
                1000,
            ),
        ];
        for (name, files, expected) in cases {
            let root = machine(files);
            assert_eq!(limit(root.path()), Some(expected * MIB), "{name}");
            assert_eq!(free_below(root.path()), Some(expected * MIB * 4 / 5 - 100 * MIB), "{name}");
        }
    }

    #[test]
    fn batches_shrink_before_threads_do() {
        let need = Need { token: 1000, fixed: 100_000 };
        for (free, expected) in [
            (u64::MAX, (8, 4096)),
            (8 * (100_000 + 1000 * 4096), (8, 4096)),
            (8 * (100_000 + 1000 * 4096) - 1, (8, 2048)),
            (8 * (100_000 + 1000 * 512), (8, 512)),
            (3 * (100_000 + 1000 * 512), (3, 512)),
            (0, (1, 512)),
        ] {
            assert_eq!(need.fit(free, 8, 4096), expected, "{free}");
        }
        assert_eq!(need.fit(0, 2, 100), (1, 100), "a small batch that was asked for stays");
    }

    #[test]
    fn this_machine_tells() {
        assert!(free().is_some_and(|free| free > MIB));
    }
}
