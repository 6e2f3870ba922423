//! Where an object is: a URI or a local path, parsed at the edge.

use crate::error::{Error, Result};
use crate::string_serde;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// A local path, or a URI: `file:///p`, `s3://bucket/key`, `gs://bucket/key`, `az://container/key`,
/// `http(s)://host/path`. Displays as it was given; one with credentials in it does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    text: String,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    Local(PathBuf),
    /// `store` is the scheme with bucket or host, `key` the rest without its first `/`
    Remote {
        store: String,
        key: String,
    },
}

const ALLOWED: &str = "allowed are a local path, file:///path, s3://, gs://, az://, http:// and https://";

impl Location {
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The location of a local file.
    pub fn local(path: impl Into<PathBuf>) -> Result<Location> {
        let path = path.into();
        let text = path
            .to_str()
            .ok_or_else(|| Error::usage(format!("path {path:?}: allowed are paths that are valid UTF-8")))?;
        Ok(Location { text: text.to_string(), target: Target::Local(path) })
    }

    pub(super) fn in_store(store: &str, key: &str) -> Location {
        Location {
            text: format!("{store}/{key}"),
            target: Target::Remote { store: store.to_string(), key: key.to_string() },
        }
    }

    pub fn is_local(&self) -> bool {
        matches!(self.target, Target::Local(_))
    }

    /// The path of a local file.
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::Local(path) => Some(path),
            Target::Remote { .. } => None,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The object `name` in this directory or prefix; `name` may hold `/`.
    pub fn join(&self, name: &str) -> Location {
        let slash = if self.text.ends_with('/') { "" } else { "/" };
        let text = format!("{}{slash}{name}", self.text);
        let target = match &self.target {
            Target::Local(path) => Target::Local(path.join(name)),
            Target::Remote { store, key } if key.is_empty() || key.ends_with('/') => {
                Target::Remote { store: store.clone(), key: format!("{key}{name}") }
            }
            Target::Remote { store, key } => {
                Target::Remote { store: store.clone(), key: format!("{key}/{name}") }
            }
        };
        Location { text, target }
    }

    /// The object or file `name` in the same directory or prefix as this one.
    pub fn beside(&self, name: &str) -> Location {
        let in_same = |text: &str| {
            let text = text.trim_end_matches('/');
            text.rfind('/').map_or_else(|| name.to_string(), |slash| format!("{}{name}", &text[..=slash]))
        };
        let target = match &self.target {
            Target::Local(path) => Target::Local(path.with_file_name(name)),
            Target::Remote { store, key } => Target::Remote { store: store.clone(), key: in_same(key) },
        };
        Location { text: in_same(&self.text), target }
    }

    /// The last part of the name; empty for a bucket or `/`.
    pub fn file_name(&self) -> &str {
        let name = match &self.target {
            Target::Local(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or(""),
            Target::Remote { key, .. } => key.trim_end_matches('/'),
        };
        name.rsplit('/').next().unwrap_or("")
    }

    /// Whether the name ends with one of these, as in `.tsv.gz`; case does not count.
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        let name = self.file_name().to_ascii_lowercase();
        extensions.iter().any(|extension| name.ends_with(extension))
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(Error::usage(format!("an empty location: {ALLOWED}"))),
                _ => Location::local(text),
            };
        };
        let target = match scheme {
            "file" => file_target(text)?,
            "s3" | "gs" | "az" => bucket_target(scheme, rest, text)?,
            "http" | "https" => http_target(text)?,
            _ => return Err(Error::usage(format!("location {text:?}: {ALLOWED}"))),
        };
        Ok(Location { text: text.to_string(), target })
    }
}

fn file_target(text: &str) -> Result<Target> {
    Url::parse(text)
        .ok()
        .and_then(|url| url.to_file_path().ok())
        .map(Target::Local)
        .ok_or_else(|| Error::usage(format!("location {text:?}: allowed is file:///absolute/path")))
}

/// Keys are taken byte for byte, so that `#`, `?` and `%` in them mean themselves.
fn bucket_target(scheme: &str, rest: &str, text: &str) -> Result<Target> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains(['@', ':']) {
        return Err(with_credentials(scheme));
    }
    if bucket.is_empty() {
        return Err(Error::usage(format!(
            "location {text:?}: the bucket is missing; allowed is {scheme}://bucket/key"
        )));
    }
    Ok(Target::Remote { store: format!("{scheme}://{bucket}"), key: key.to_string() })
}

fn http_target(text: &str) -> Result<Target> {
    let url = Url::parse(text).map_err(|error| Error::usage(format!("location {text:?}: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(with_credentials(url.scheme()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let base = format!("{}{}", url.origin().ascii_serialization(), url.path());
        return Err(Error::usage(format!(
            "location {base}: a query (?...) or fragment (#...) is not allowed"
        )));
    }
    let key = url.path().trim_start_matches('/').to_string();
    Ok(Target::Remote { store: url.origin().ascii_serialization(), key })
}

/// Names the scheme alone, so that no credential reaches a log.
fn with_credentials(scheme: &str) -> Error {
    Error::usage(format!(
        "a {scheme}:// location holds credentials: they are not allowed there, set them in the environment"
    ))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

string_serde!(Location);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_display_as_they_were_given() {
        for text in [
            "a.fa",
            "/data/a b.fa",
            "file:///data/a.fa",
            "s3://b/k/a.fa",
            "gs://b",
            "az://c/a#1?.fa",
            "https://h:8080/a%20b.fa",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_join_to_directories_prefixes_and_buckets() {
        for (directory, expected) in [
            ("out", "out/x.tsv"),
            ("out/", "out/x.tsv"),
            ("/", "/x.tsv"),
            ("s3://b", "s3://b/x.tsv"),
            ("s3://b/", "s3://b/x.tsv"),
            ("s3://b/out", "s3://b/out/x.tsv"),
            ("file:///out/", "file:///out/x.tsv"),
        ] {
            let joined = directory.parse::<Location>().unwrap().join("x.tsv");
            assert_eq!(joined.as_str(), expected);
            assert_eq!(joined, expected.parse().unwrap(), "the joined location is the parsed one");
            assert_eq!(joined.file_name(), "x.tsv");
        }
    }

    #[test]
    fn names_beside_others_share_their_directory_or_prefix() {
        for (location, expected) in [
            ("a.tsv", "x.tsv"),
            ("out/a.tsv", "out/x.tsv"),
            ("/a.tsv", "/x.tsv"),
            ("s3://b/a.tsv", "s3://b/x.tsv"),
            ("s3://b/out/a.tsv", "s3://b/out/x.tsv"),
            ("file:///out/a.tsv", "file:///out/x.tsv"),
        ] {
            let beside = location.parse::<Location>().unwrap().beside("x.tsv");
            assert_eq!(beside, expected.parse().unwrap(), "{location}");
        }
    }

    #[test]
    fn a_file_uri_is_local_and_percent_decoded() {
        let location: Location = "file:///data/a%20b.FA".parse().unwrap();
        assert_eq!(location.path(), Some(Path::new("/data/a b.FA")));
        assert!(location.has_extension(&[".fa"]));
    }

    #[test]
    fn nonsense_is_refused_and_credentials_are_not_repeated() {
        for text in ["", "ftp://h/a", "s3://", "s3:///key", "file://host/a", "http://"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        for text in ["s3://key:secret@b/k", "https://user:secret@h/a", "https://h/a?sig=secret"] {
            let message = text.parse::<Location>().unwrap_err().message;
            assert!(!message.contains("secret") && message.contains("allowed"), "{message}");
        }
    }
}
