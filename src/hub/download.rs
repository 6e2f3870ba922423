//! One file of the hub into the cache: resumed where it broke off, checked, and visible only when it is whole.

use super::ModelId;
use super::cache::{Folder, create_parent};
use super::protocol::{Failure, FileInfo, Protocol};
use crate::digest::sha256_of;
use crate::error::{Error, Result};
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tries in a row without a byte gained.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Of a large file's ETag, which is its SHA-256.
const SHA256_LENGTH: usize = 64;

pub(super) struct Download<'a> {
    pub protocol: &'a Protocol,
    pub folder: &'a Folder,
    pub id: &'a ModelId,
    pub commit: &'a str,
    pub name: &'a str,
}

impl Download<'_> {
    /// The file's path in the snapshot, once it is whole.
    pub async fn run(&self) -> Result<PathBuf, Failure> {
        let (mut tries, mut had) = (0, 0);
        loop {
            let failure = match self.attempt().await {
                Err(Failure::Unreachable(error)) => error,
                other => return other.map_err(|failure| self.named(failure)),
            };
            let has = self.gained();
            tries = if has > had { 1 } else { tries + 1 };
            had = has;
            if tries >= TRIES {
                return Err(self.named(Failure::Unreachable(failure)));
            }
            log::info!("{failure}; trying again");
            tokio::time::sleep(FIRST_PAUSE * 2u32.pow(tries - 1)).await;
        }
    }

    async fn attempt(&self) -> Result<PathBuf, Failure> {
        let info = self.protocol.file(self.id, self.commit, self.name).await?;
        let _lock = self.folder.lock(&info.etag).map_err(|error| self.unwritable(error))?;
        if !self.folder.blob(&info.etag).is_file() {
            self.fetch(&info).await?;
        }
        self.folder.link(&info.etag, self.commit, self.name).map_err(|error| self.unwritable(error))
    }

    async fn fetch(&self, info: &FileInfo) -> Result<(), Failure> {
        let path = self.folder.incomplete(&info.etag);
        create_parent(&path).map_err(|error| self.unwritable(error))?;
        let mut have = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if info.size.is_some_and(|size| have > size) {
            have = 0;
        }
        if have == 0 || info.size != Some(have) {
            let left = info.size.map_or("?".to_string(), |size| (size - have).to_string());
            log::info!("fetching {} of {}: {left} bytes", self.name, self.id);
            self.receive(info, &path, have).await?;
        }
        self.check(info, &path)?;
        fs::rename(&path, self.folder.blob(&info.etag)).map_err(|error| self.unwritable(error))
    }

    async fn receive(&self, info: &FileInfo, path: &Path, have: u64) -> Result<(), Failure> {
        let mut response = self.protocol.bytes(self.id, self.name, info, have).await?;
        let from = format!("bytes {have}-");
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && response
                .headers()
                .get(CONTENT_RANGE)
                .is_some_and(|range| range.as_bytes().starts_with(from.as_bytes()));
        let mut file = File::options()
            .create(true)
            .write(true)
            .append(continues)
            .truncate(!continues)
            .open(path)
            .map_err(|error| self.unwritable(error))?;
        loop {
            let chunk = response.chunk().await.map_err(|error| self.protocol.unreachable(self.id, error))?;
            let Some(chunk) = chunk else { break };
            file.write_all(&chunk).map_err(|error| self.unwritable(error))?;
        }
        file.sync_data().map_err(|error| self.unwritable(error))
    }

    /// Compares size and, where the hub tells it, SHA-256; what is wrong is thrown away.
    fn check(&self, info: &FileInfo, path: &Path) -> Result<(), Failure> {
        let size = fs::metadata(path).map_err(|error| self.unwritable(error))?.len();
        let what = format!("model {}, file {}", self.id, self.name);
        match info.size {
            Some(expected) if size < expected => {
                return Err(Failure::Unreachable(Error::model(format!(
                    "{what}: {size} of {expected} bytes came"
                ))));
            }
            _ => {}
        }
        let is_sha256 = info.etag.len() == SHA256_LENGTH;
        let digest = || File::open(path).and_then(sha256_of).map_err(|error| self.unwritable(error));
        let same =
            info.size.is_none_or(|expected| size == expected) && (!is_sha256 || digest()? == info.etag);
        if same {
            return Ok(());
        }
        fs::remove_file(path).map_err(|error| self.unwritable(error))?;
        Err(Failure::Refused(Error::model(format!(
            "{what}: what came is not what the hub says it is, and was thrown away; try again"
        ))))
    }

    /// Bytes of blobs that are not whole yet, in which progress shows.
    fn gained(&self) -> u64 {
        let size = |entry: fs::DirEntry| {
            let grows = entry.path().extension().is_some_and(|extension| extension == "incomplete");
            grows.then(|| entry.metadata().map_or(0, |metadata| metadata.len()))
        };
        let blobs = self.folder.blob("");
        fs::read_dir(blobs).into_iter().flatten().flatten().filter_map(size).sum()
    }

    /// The failure with the name of the file.
    fn named(&self, failure: Failure) -> Failure {
        let named = |error: Error| match error.message.contains(self.name) {
            true => error,
            false => Error::model(format!("model {}, file {}", self.id, self.name)).caused_by(error),
        };
        match failure {
            Failure::Unreachable(error) => Failure::Unreachable(named(error)),
            Failure::Refused(error) => Failure::Refused(named(error)),
        }
    }

    fn unwritable(&self, error: io::Error) -> Failure {
        Failure::Refused(
            Error::model(format!(
                "model {}, file {}: the cache at {} cannot be written (HF_HOME says where it is)",
                self.id,
                self.name,
                self.folder.blob("").display()
            ))
            .caused_by(error),
        )
    }
}
