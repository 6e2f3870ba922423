//! The cache on disk, laid out as huggingface_hub lays it out, so that both use one.
//!
//! ```text
//! models--owner--name/blobs/ETAG                 the bytes of a file
//!                     snapshots/COMMIT/NAME      a link to its blob
//!                     refs/REVISION              the commit of a branch or tag
//! .locks/models--owner--name/ETAG.lock           held while a blob is fetched
//! ```

use super::ModelId;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

/// A model's folder in the cache.
pub(super) struct Folder {
    root: PathBuf,
    locks: PathBuf,
}

impl Folder {
    pub fn new(cache: &Path, id: &ModelId) -> Folder {
        Folder { root: cache.join(id.folder()), locks: cache.join(".locks").join(id.folder()) }
    }

    /// The commit that a revision had when it was last asked for; a commit is its own.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    pub fn set_commit(&self, revision: &str, commit: &str) -> io::Result<()> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        create_parent(&path)?;
        fs::write(path, commit)
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Where a blob grows until it is whole.
    pub fn incomplete(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Waits until no other process fetches this blob.
    pub fn lock(&self, etag: &str) -> io::Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let file = File::options().create(true).append(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Gives a blob its name in a snapshot.
    pub fn link(&self, etag: &str, commit: &str, name: &str) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(name);
        create_parent(&path)?;
        let up = "../".repeat(2 + Path::new(name).components().count() - 1);
        // what is there points to another blob or to none
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), &path) {
            // another process was faster
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path),
            other => other.map(|()| path),
        }
    }
}

/// The models that have a folder in a cache.
pub(super) fn list(cache: &Path) -> Vec<ModelId> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| ModelId::from_folder(entry.file_name().to_str()?)).collect();
    found.sort();
    found
}

/// The names of the files in a snapshot that are whole, `/` between folders.
pub(super) fn files(snapshot: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![snapshot.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // links are files; folders of a snapshot are real, so that no link can make a circle
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.is_file() {
                found.extend(path.strip_prefix(snapshot).ok().and_then(Path::to_str).map(str::to_string));
            }
        }
    }
    found.sort();
    found
}

/// Whether a server's name of a file stays inside a folder.
pub(super) fn is_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn snapshots_link_to_blobs_at_any_depth_and_are_listed() {
        let cache = tempfile::tempdir().unwrap();
        let id: ModelId = "a/b".parse().unwrap();
        let folder = Folder::new(cache.path(), &id);
        create_parent(&folder.blob("e1")).unwrap();
        fs::write(folder.blob("e1"), "weights").unwrap();
        for name in ["model.pth", "data/weights/model.pth"] {
            let path = folder.link("e1", COMMIT, name).unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), "weights");
            folder.link("e1", COMMIT, name).unwrap();
        }
        folder.link("missing", COMMIT, "broken.bin").unwrap();
        folder.set_commit("main", COMMIT).unwrap();
        assert_eq!(folder.commit("main").as_deref(), Some(COMMIT));
        assert_eq!(folder.commit("other"), None);
        assert_eq!(list(cache.path()), [id]);
        assert_eq!(files(&folder.snapshot(COMMIT)), ["data/weights/model.pth", "model.pth"]);
    }

    #[test]
    fn names_that_climb_are_told() {
        assert!(is_inside("a/b.bin"));
        for name in ["", "/etc/x", "../x", "a/../../x", "./a"] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
