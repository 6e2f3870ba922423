//! The data directory: in the hands of one service at a time, which has the same name after every restart.

use crate::digest::sha256;
use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const NAME: &str = "service-name";
/// Hexadecimal digits of a name.
const DIGITS: usize = 16;
/// Who has the directory may just be ending, or be a process that this one starts and that has not begun yet.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Makes the directory if need be and locks it as long as the file lives.
///
/// # Errors
/// `storage_failed` where it cannot be written, or another process has it.
pub(super) fn lock(directory: &Path) -> Result<File> {
    let failed = |error: std::io::Error| {
        Error::storage(format!("cannot lock the data directory {}", directory.display())).caused_by(error)
    };
    std::fs::create_dir_all(directory).map_err(|error| {
        Error::storage(format!("cannot make the data directory {}", directory.display())).caused_by(error)
    })?;
    let path = directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::storage(format!(
                    "the data directory {} is in use by another bioprune",
                    directory.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// The name of the service of this data directory: made up once, then kept in it.
///
/// # Errors
/// `storage_failed` where the directory cannot be written.
pub fn service_name(directory: &Path) -> Result<String> {
    let path: PathBuf = directory.join(NAME);
    if let Ok(name) = std::fs::read_to_string(&path)
        && name.len() == DIGITS
    {
        return Ok(name);
    }
    let random = RandomState::new().hash_one((SystemTime::now(), std::process::id()));
    let name = sha256(random.to_le_bytes())[..DIGITS].to_string();
    let write = || {
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(name.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        Error::storage(format!("cannot write {}", path.display())).caused_by(error)
    })?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_name_and_shares_it_with_no_other() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = service_name(one.path()).unwrap();
        assert_eq!(service_name(one.path()).unwrap(), name);
        assert_ne!(service_name(other.path()).unwrap(), name);
    }
}
