//! What tells the copies of a local file from other files. Workflow engines hand each task a copy of its own, with another
//! inode and time of change, so that the ETag of a local file says nothing beyond the task.

use crate::error::Result;
use crate::storage::{ObjectInfo, Storage};
use xxhash_rust::xxh3::Xxh3Default;

/// Blocks that are read, spread evenly from the first byte to the last; smaller files are read as a whole.
const BLOCKS: u64 = 64;
const BLOCK: u64 = 64 << 10;

/// A digest of a local file's size and of samples of its content, the same for every copy. None for a remote object, whose
/// store names its version.
pub(super) fn fingerprint(storage: &Storage, info: &ObjectInfo) -> Result<Option<String>> {
    if !info.location.is_local() {
        return Ok(None);
    }
    let mut hash = Xxh3Default::new();
    hash.update(&info.size.to_le_bytes());
    if info.size <= BLOCKS * BLOCK {
        hash.update(&storage.read_range(info, 0..info.size)?);
    } else {
        for block in 0..BLOCKS {
            // in 128 bits: the product of a size and a count
            let start = u128::from(info.size - BLOCK) * u128::from(block) / u128::from(BLOCKS - 1);
            let start = start as u64;
            hash.update(&storage.read_range(info, start..start + BLOCK)?);
        }
    }
    Ok(Some(format!("xxh3:{:032x}", hash.digest128())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &std::path::Path) -> String {
        let storage = Storage::from_env().unwrap();
        let info = storage.stat(&path.to_str().unwrap().parse().unwrap()).unwrap();
        fingerprint(&storage, &info).unwrap().unwrap()
    }

    #[test]
    fn copies_have_one_fingerprint_and_other_files_have_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (size, name) in
            [(0, "empty"), (1000, "small"), (BLOCKS * BLOCK, "whole"), (3 * BLOCKS * BLOCK + 7, "sampled")]
        {
            let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            std::fs::write(path(name), &content).unwrap();
            std::fs::copy(path(name), path("copy")).unwrap();
            assert_eq!(of(&path(name)), of(&path("copy")), "{name}");
            for changed in [0, size.saturating_sub(1)].into_iter().filter(|at| *at < size) {
                let mut other = content.clone();
                other[changed as usize] ^= 1;
                std::fs::write(path("copy"), other).unwrap();
                assert_ne!(of(&path(name)), of(&path("copy")), "{name}, byte {changed}");
            }
            std::fs::write(path("copy"), [&content[..], b"x"].concat()).unwrap();
            assert_ne!(of(&path(name)), of(&path("copy")), "{name}, longer");
        }
    }
}
