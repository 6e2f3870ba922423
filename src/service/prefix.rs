//! Prefixes of locations, and whether a location is below one.

use crate::error::{Code, Error, Result};
use crate::storage::Location;
use std::path::{Component, Path, PathBuf};

/// Where a location may lie: anywhere below one of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes(pub Vec<Prefix>);

#[derive(Clone, Debug)]
pub(super) enum Prefix {
    /// A directory, links resolved
    Local(PathBuf),
    /// A URI without a slash at its end
    Remote(String),
    /// Models of the hub: all of it, of an owner, or one; `owner/name` begins with this
    Hub(String),
}

/// How models of the hub are written among prefixes.
pub(super) const HUB: &str = "hf://";

impl Prefixes {
    /// # Errors
    /// `usage` where one is no URI of a known kind, or a directory that is not there.
    pub fn parse<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Result<Prefixes> {
        prefixes.into_iter().map(Prefix::parse).collect::<Result<_>>().map(Prefixes)
    }

    /// Whether a location is below one of them.
    ///
    /// # Errors
    /// `forbidden` where it is written so that what it means is in doubt.
    pub fn hold(&self, location: &Location) -> Result<bool> {
        check_spelling(location)?;
        Ok(match location.path() {
            Some(path) => self.hold_path(path),
            None => self.0.iter().any(|prefix| match prefix {
                Prefix::Remote(prefix) => is_below(location.as_str(), prefix),
                Prefix::Local(_) | Prefix::Hub(_) => false,
            }),
        })
    }

    fn hold_path(&self, path: &Path) -> bool {
        let (directory, whole) = (resolve(&literal_part(path)), resolve(path));
        self.0.iter().any(|prefix| match prefix {
            Prefix::Local(root) => directory.starts_with(root) && whole.starts_with(root),
            Prefix::Remote(_) | Prefix::Hub(_) => false,
        })
    }

    /// Whether a model of the hub, `owner/name`, is below one of them.
    pub fn hold_model(&self, id: &str) -> bool {
        self.0.iter().any(|prefix| match prefix {
            Prefix::Hub(prefix) => prefix.is_empty() || is_below(id, prefix),
            Prefix::Local(_) | Prefix::Remote(_) => false,
        })
    }
}

/// Refuses what is written so that it may mean another place than it seems to.
pub(super) fn check_spelling(location: &Location) -> Result<()> {
    let text = location.as_str();
    if let Some(path) = location.path() {
        if !path.is_absolute() {
            return Err(refused(
                text,
                "a local path must be absolute, and below a directory that is allowed",
            ));
        }
        if path.components().any(|component| component == Component::ParentDir) {
            return Err(refused(text, CLIMBS));
        }
        return Ok(());
    }
    // web addresses are read without tabs and line ends, wherever these are
    if text.contains(char::is_control) {
        return Err(refused(text, "control characters are not allowed in it"));
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    // keys mean themselves in object stores and are decoded in web addresses: neither may climb
    if rest.split(['/', '\\']).any(|segment| is_dots(segment) || is_dots(&percent_decoded_dots(segment))) {
        return Err(refused(text, CLIMBS));
    }
    Ok(())
}

impl Prefix {
    fn parse(text: &str) -> Result<Prefix> {
        if let Some(id) = text.strip_prefix(HUB) {
            return Ok(Prefix::Hub(id.trim_end_matches('/').to_string()));
        }
        let location: Location = text.parse()?;
        if let Some(path) = location.path() {
            let root = path.canonicalize().map_err(|error| {
                Error::usage(format!("allow {text:?}: allowed are URI prefixes and directories that exist"))
                    .caused_by(error)
            })?;
            return Ok(Prefix::Local(root));
        }
        if text.contains(['*', '?', '[']) {
            return Err(Error::usage(format!("allow {text:?}: allowed are prefixes without wildcards")));
        }
        Ok(Prefix::Remote(text.trim_end_matches('/').to_string()))
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Prefix::Local(root) => write!(f, "{}", root.display()),
            Prefix::Remote(prefix) => f.write_str(prefix),
            Prefix::Hub(prefix) => write!(f, "{HUB}{prefix}"),
        }
    }
}

/// Whether a name is the prefix, or below it.
fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn percent_decoded_dots(segment: &str) -> String {
    segment.replace("%2e", ".").replace("%2E", ".")
}

const CLIMBS: &str = "\".\" and \"..\" are not allowed as names in it";

pub(super) fn refused(location: &str, why: &str) -> Error {
    Error::new(Code::Forbidden, format!("location {location:?}: {why}"))
}

/// The directories before the first name with a wildcard.
fn literal_part(path: &Path) -> PathBuf {
    let is_literal =
        |component: &Component<'_>| !component.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    path.components().take_while(is_literal).collect()
}

/// The path without links, as far as it exists; the rest, which is yet to be written, as it stands.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(resolved), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return resolved.join(rest);
        }
    }
    path.to_path_buf()
}
