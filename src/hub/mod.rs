//! Models of the Hugging Face Hub, fetched into the cache that huggingface_hub has, and shared with it.
//!
//! The environment variables are the same, too: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`,
//! `HF_HUB_OFFLINE`. A revision is resolved to a commit first, and every file is of that commit. Where the network
//! fails, what the cache has of the revision serves instead, and that is said.
//!
//! Everything here blocks. Errors have the code `model_unavailable` and name the model, the file and the cause.

mod cache;
mod download;
mod id;
mod protocol;
mod settings;

pub use id::ModelId;

use crate::error::{Error, Result};
use cache::Folder;
use download::Download;
use protocol::{Failure, Listing, Protocol};
use settings::Settings;
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

/// The hub and its cache, as the environment configures them. Nothing is contacted yet.
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// # Errors
    /// An `HF_ENDPOINT` that is no address, or no place for a cache.
    pub fn from_env() -> Result<Hub> {
        Ok(Hub { settings: Settings::read(|name| std::env::var(name).ok())? })
    }

    /// The models in the cache: what it has of `main`.
    pub fn cached(&self) -> Vec<Repository> {
        let open = |id: ModelId| Repository::cached(&id, Folder::new(&self.settings.cache, &id));
        cache::list(&self.settings.cache).into_iter().filter_map(open).collect()
    }

    /// A model's repository at the commit of its revision: asked of the hub, or found in the cache when offline.
    pub fn open(&self, id: &ModelId) -> Result<Repository> {
        let folder = Folder::new(&self.settings.cache, id);
        if self.settings.offline {
            return Repository::cached(id, folder)
                .ok_or_else(|| self.not_cached(id, "HF_HUB_OFFLINE is set: nothing is fetched"));
        }
        let protocol = Protocol::new(&self.settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start the hub's client").caused_by(error))?;
        let listing = match runtime.block_on(protocol.listing(id)) {
            Ok(listing) => listing,
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Unreachable(error)) => {
                let Some(repository) = Repository::cached(id, folder) else { return Err(error) };
                log::warn!("{error}; using commit {} of the cache", repository.commit);
                return Ok(repository);
            }
        };
        let unwritable = |error| {
            self.not_cached(id, "its cache cannot be written (HF_HOME says where it is)").caused_by(error)
        };
        folder.set_commit(id.revision(), &listing.commit).map_err(unwritable)?;
        let Listing { commit, mut files } = listing;
        files.retain(|name| cache::is_inside(name));
        Ok(Repository { id: id.clone(), folder, commit, files, remote: Some((protocol, runtime)) })
    }

    fn not_cached(&self, id: &ModelId, why: &str) -> Error {
        Error::model(format!("model {id} is not in the cache at {}: {why}", self.settings.cache.display()))
    }
}

/// A model's files at one commit.
pub struct Repository {
    id: ModelId,
    folder: Folder,
    commit: String,
    files: Vec<String>,
    /// Without it only what the cache has
    remote: Option<(Protocol, Runtime)>,
}

impl Repository {
    /// What the cache has of the revision, if it has anything.
    fn cached(id: &ModelId, folder: Folder) -> Option<Repository> {
        let commit = folder.commit(id.revision())?;
        let files = cache::files(&folder.snapshot(&commit));
        (!files.is_empty()).then(|| Repository { id: id.clone(), folder, commit, files, remote: None })
    }

    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// Names of the files, `/` between folders.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The path of a file, fetched if the cache does not have it.
    pub fn fetch(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.snapshot(&self.commit).join(name);
        if cache::is_inside(name) && path.is_file() {
            return Ok(path);
        }
        let (Some((protocol, runtime)), true) = (&self.remote, cache::is_inside(name)) else {
            return Err(Error::model(format!("model {}, file {name}: it is not in the cache", self.id)));
        };
        let download = Download { protocol, folder: &self.folder, id: &self.id, commit: &self.commit, name };
        runtime.block_on(download.run()).map_err(|failure| match failure {
            Failure::Unreachable(error) | Failure::Refused(error) => error,
        })
    }
}
