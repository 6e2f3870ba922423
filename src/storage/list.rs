//! From a pattern to the objects that it names.

use super::error::{Action, from_io, from_store};
use super::local as files;
use super::location::Target;
use super::remote::{Remote, again, quoted};
use super::{Location, ObjectInfo, uploads};
use crate::error::{Code, Error, Result};
use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::ObjectMeta;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// `*` and `?` stay within one name and do not match a leading dot, as in a shell.
const GLOB: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What workflow engines and data frameworks put beside data: hidden files, `_SUCCESS`, `_temporary/`.
fn is_left_out(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn bad_pattern(location: &Location, error: glob::PatternError) -> Error {
    Error::usage(format!("pattern {location}: allowed are *, ?, [..] and **")).caused_by(error)
}

fn sorted(mut found: Vec<ObjectInfo>, nothing: impl FnOnce() -> String) -> Result<Vec<ObjectInfo>> {
    if found.is_empty() {
        return Err(Error::new(Code::InputNotFound, nothing()));
    }
    found.sort_by(|a, b| a.location.as_str().cmp(b.location.as_str()));
    Ok(found)
}

fn no_match(location: &Location) -> String {
    format!("{location}: no file or object matches")
}

fn nothing_in(location: &Location) -> String {
    format!("{location} holds no files (names that begin with . or _ are left out)")
}

pub(super) fn local(location: &Location, path: &Path) -> Result<Vec<ObjectInfo>> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let mut found = Vec::new();
            walk(path, &mut found, &mut HashSet::new())?;
            sorted(found, || nothing_in(location))
        }
        Err(_) if is_glob(location.as_str()) => {
            let pattern = path.to_str().unwrap_or_default();
            let paths = glob::glob_with(pattern, GLOB).map_err(|error| bad_pattern(location, error))?;
            let mut found = Vec::new();
            for path in paths {
                let path = path.map_err(|error| from_io(Action::List, location, error.into()))?;
                found.extend(file(path)?);
            }
            sorted(found, || no_match(location))
        }
        _ => files::stat(location, path).map(|info| vec![info]),
    }
}

/// Links are followed, as workflow engines stage inputs as links; `seen` ends a circle of them.
fn walk(directory: &Path, found: &mut Vec<ObjectInfo>, seen: &mut HashSet<PathBuf>) -> Result<()> {
    let failed = |error| match Location::local(directory) {
        Ok(location) => from_io(Action::List, &location, error),
        Err(error) => error,
    };
    if !seen.insert(directory.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match is_left_out(name) {
            true => {}
            false if path.is_dir() => walk(&path, found, seen)?,
            false => found.extend(file(path)?),
        }
    }
    Ok(())
}

/// A directory that a pattern matches is no input.
fn file(path: PathBuf) -> Result<Option<ObjectInfo>> {
    if path.is_dir() {
        return Ok(None);
    }
    let location = Location::local(path.clone())?;
    files::stat(&location, &path).map(Some)
}

pub(super) fn remote(remote: &Remote, location: &Location) -> Result<Vec<ObjectInfo>> {
    let Target::Remote { store, key } = location.target() else {
        return Err(Error::internal(format!("{location} is not in an object store")));
    };
    if !key.is_empty() && !key.ends_with('/') {
        match remote.stat(location) {
            // A plain web server has no listing: there, a location is always one object.
            Err(error) if error.code == Code::InputNotFound && !store.starts_with("http") => {}
            other => return other.map(|info| vec![info]),
        }
    }
    if !is_glob(key) {
        let found = list_prefix(remote, location, store, key)?;
        let found = found.into_iter().filter(|(below, _)| !below.split('/').any(is_left_out));
        return sorted(found.map(|(_, info)| info).collect(), || {
            match key.is_empty() || key.ends_with('/') {
                true => nothing_in(location),
                false => format!("{location}: there is no such object, and none below {location}/"),
            }
        });
    }
    let pattern = Pattern::new(key).map_err(|error| bad_pattern(location, error))?;
    let literal = key.find(['*', '?', '[']).unwrap_or(key.len());
    let prefix = key[..literal].rsplit_once('/').map_or("", |(prefix, _)| prefix);
    let found = list_prefix(remote, location, store, prefix)?.into_iter().map(|(_, info)| info);
    let matches = |info: &ObjectInfo| match info.location.target() {
        Target::Remote { key, .. } => pattern.matches_with(key, GLOB),
        Target::Local(_) => false,
    };
    sorted(found.filter(matches).collect(), || no_match(location))
}

/// All objects below a prefix, each with its name relative to it.
fn list_prefix(
    remote: &Remote,
    location: &Location,
    store: &str,
    prefix: &str,
) -> Result<Vec<(String, ObjectInfo)>> {
    let directory = Location::in_store(store, prefix.trim_end_matches('/'));
    let (client, path) = remote.object(&directory)?;
    let objects: RefCell<Vec<ObjectMeta>> = RefCell::default();
    let listed = remote.block_on(again(|| async {
        // a listing that broke off goes on behind what it told
        let last = objects.borrow().last().map(|meta| meta.location.clone());
        let mut told = match last {
            Some(last) => client.list_with_offset(Some(&path), &last),
            None => client.list(Some(&path)),
        };
        while let Some(meta) = told.try_next().await? {
            objects.borrow_mut().push(meta);
        }
        Ok(())
    }))?;
    listed.map_err(|error| from_store(Action::List, location, error))?;
    let found = objects.into_inner().into_iter().map(|meta| {
        let key = meta.location.as_ref();
        let below = key.strip_prefix(path.as_ref()).unwrap_or(key).trim_start_matches('/').to_string();
        (
            below,
            ObjectInfo {
                location: Location::in_store(store, key),
                size: meta.size,
                etag: quoted(meta.e_tag),
            },
        )
    });
    Ok(found.collect())
}

/// Removes all objects below a prefix, and what uploads left there that were never finished.
pub(super) fn clear(remote: &Remote, location: &Location) -> Result<()> {
    let Target::Remote { store, key } = location.target() else {
        return Err(Error::internal(format!("{location} is not in an object store")));
    };
    for (_, info) in list_prefix(remote, location, store, key)? {
        remote.delete(&info.location)?;
    }
    uploads::abort_left(remote, &Location::in_store(store, &format!("{}/", key.trim_end_matches('/'))));
    Ok(())
}
