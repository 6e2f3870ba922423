//! Where a model's weights come from: the program, a file or folder, an object store, the hub.

use super::registry::{self, ModelStatus};
use super::{Weights, card, files, shards};
use crate::error::{Error, Result};
use crate::hub::{Hub, ModelId};
use crate::storage::{Location, ObjectInfo, Storage, io_error};
use std::fs::File;
use std::io::copy;
use std::path::{Path, PathBuf};

/// Opens a model's weights by its registry name; or by a file or folder, local or in object storage; or by its name
/// on the hub. A local path that is there wins over a hub name that is spelt the same.
///
/// # Errors
/// All have the code `model_unavailable`, but for a location or hub model that the storage's policy forbids.
pub fn open(model: &str, storage: &Storage) -> Result<(Weights, ModelStatus)> {
    if let Some(weights) = registry::embedded(model) {
        return Ok((weights?, ModelStatus::Embedded));
    }
    if let Some(id) = hub_model(model, storage) {
        storage.check_model(&id.repository())?;
        return Ok((fetched(&Hub::from_env()?, &id)?, ModelStatus::Cached));
    }
    let location: Location = model.parse()?;
    let weights = match storage.local_path(&location) {
        Some(path) => local(&path, model)?,
        None => stored(&location, storage, model)?,
    };
    Ok((weights, ModelStatus::File))
}

/// The hub's model of that name, unless the name is that of a path that is there and may be read.
fn hub_model(model: &str, storage: &Storage) -> Option<ModelId> {
    let id = model.parse().ok()?;
    let location: Location = model.parse().ok()?;
    let is_there = Path::new(model).exists() && storage.may_read(&location);
    if is_there {
        log::info!("model {model} is the local path of that name, and not the hub's model");
    }
    (!is_there).then_some(id)
}

fn local(path: &Path, model: &str) -> Result<Weights> {
    if path.is_file() {
        return Weights::open(path, model);
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return Err(Error::model(format!(
            "model {model:?} is neither a known name ({}), nor a file or folder, nor owner/name on the hub",
            registry::names()
        )));
    };
    let found: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    found.sort_unstable();
    let weights = path.join(files::choose(&found, model)?);
    Ok(with_licence(Weights::open(&weights, model)?, &path.join(files::CARD)))
}

/// The weights of a hub's model, whose files are fetched where the cache does not have them.
pub(super) fn fetched(hub: &Hub, id: &ModelId) -> Result<Weights> {
    let shown = id.to_string();
    let repository = hub.open(id)?;
    let names: Vec<&str> = repository.files().iter().map(String::as_str).collect();
    let weights = files::choose(&names, &shown)?;
    for name in files::BESIDE.map(|name| files::beside(weights, name)) {
        if names.contains(&name.as_str()) {
            repository.fetch(&name)?;
        }
    }
    let path = repository.fetch(weights)?;
    if shards::is_index(&path) {
        for shard in shards::read(&path, &shown)? {
            let name = shard.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            repository.fetch(&files::beside(weights, name))?;
        }
    }
    let opened = Weights::open(&path, &shown)?;
    match names.contains(&files::CARD) {
        true => Ok(with_licence(opened, &repository.fetch(files::CARD)?)),
        false => Ok(opened),
    }
}

/// The weights of an object, or below a prefix. They are read at random: what is needed is copied whole first.
fn stored(location: &Location, storage: &Storage, model: &str) -> Result<Weights> {
    let failed = |error: Error| Error::model(format!("model {model} cannot be fetched")).caused_by(error);
    let folder = tempfile::tempdir()
        .map_err(|error| Error::storage(format!("no temporary folder for model {model}")).caused_by(error))?;
    let fetch = |object: &ObjectInfo| copied(object, storage, folder.path()).map_err(failed);
    let found = storage.list(model).map_err(failed)?;
    let (weights, beside) = match found.as_slice() {
        [object] if object.location == *location => (object.clone(), lying_beside(location, storage)),
        _ => {
            let prefix = format!("{}/", model.trim_end_matches('/'));
            let names: Vec<&str> = found
                .iter()
                .map(|object| object.location.as_str())
                .filter_map(|text| text.strip_prefix(&prefix))
                .collect();
            let weights = files::choose(&names, model)?;
            let object = |name: &str| {
                found
                    .iter()
                    .find(|object| object.location.as_str().strip_prefix(&prefix) == Some(name))
                    .cloned()
            };
            let beside = files::BESIDE.iter().filter_map(|name| object(&files::beside(weights, name)));
            let beside = beside.chain(object(files::CARD)).collect();
            let weights = object(weights).ok_or_else(|| {
                Error::internal(format!("model {model}: {weights} was listed, and is gone"))
            })?;
            (weights, beside)
        }
    };
    for object in &beside {
        fetch(object)?;
    }
    let path = fetch(&weights)?;
    if shards::is_index(&path) {
        for shard in shards::read(&path, model)? {
            let name = shard.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let location = files::beside(weights.location.as_str(), name).parse().map_err(failed)?;
            fetch(&storage.stat(&location).map_err(failed)?)?;
        }
    }
    // the folder may go: the files stay for as long as they are mapped
    Ok(with_licence(Weights::open(&path, model)?, &folder.path().join(files::CARD)))
}

/// What there is of the files that say more of a model, in the folder of its weights.
fn lying_beside(weights: &Location, storage: &Storage) -> Vec<ObjectInfo> {
    let stat = |name: &&str| storage.stat(&files::beside(weights.as_str(), name).parse().ok()?).ok();
    files::BESIDE.iter().filter_map(stat).collect()
}

/// Copies an object in bounded memory.
fn copied(object: &ObjectInfo, storage: &Storage, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(object.location.file_name());
    let failed = |error| io_error(&object.location, error);
    let mut target = File::create(&path).map_err(failed)?;
    copy(&mut storage.open(object)?, &mut target).map_err(failed)?;
    Ok(path)
}

/// Takes a licence that the file itself does not state from a model card.
fn with_licence(mut weights: Weights, card: &Path) -> Weights {
    if weights.text("licence").is_none()
        && let Some(licence) = std::fs::read_to_string(card).ok().and_then(|text| card::licence(&text))
    {
        weights.config.insert("licence".into(), licence.into());
    }
    weights
}
