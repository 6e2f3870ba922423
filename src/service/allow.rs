//! Which locations requests may touch.

use crate::error::{Code, Error, Result};
use crate::hub::ModelId;
use crate::storage::{Location, Policy};
use std::path::{Component, Path, PathBuf};

const OBJECT_STORES: [&str; 3] = ["s3", "gs", "az"];

/// What the operator allows: everything below some prefixes, or, without any, the object stores.
#[derive(Clone, Debug)]
pub(super) struct AllowList {
    prefixes: Vec<Prefix>,
    own_model: Option<String>,
}

#[derive(Clone, Debug)]
enum Prefix {
    /// A directory, links resolved
    Local(PathBuf),
    /// A URI without a slash at its end
    Remote(String),
    /// Models of the hub: all of it, of an owner, or one; `owner/name` begins with this
    Hub(String),
}

/// How models of the hub are written in an allow-list.
const HUB: &str = "hf://";

impl AllowList {
    /// # Errors
    /// `usage` where a prefix is no URI of a known kind, or a directory that is not there.
    pub fn parse(prefixes: &[String]) -> Result<AllowList> {
        let prefixes = prefixes.iter().map(|prefix| Prefix::parse(prefix)).collect::<Result<_>>()?;
        Ok(AllowList { prefixes, own_model: None })
    }

    /// The same, and the hub's model that the operator has named as the one of requests that name none.
    pub fn with_model(self, id: &ModelId) -> AllowList {
        AllowList { own_model: Some(id.repository()), ..self }
    }

    /// What to ask for an answer to learn whether the allowed stores are in reach: names that need not exist.
    pub fn probes(&self) -> Vec<String> {
        let stores = self.prefixes.iter().filter(|prefix| !matches!(prefix, Prefix::Hub(_)));
        stores.map(|prefix| format!("{prefix}/.bioprune-probe")).collect()
    }

    fn allows_uri(&self, location: &str) -> Result<bool> {
        // web addresses are read without tabs and line ends, wherever these are
        if location.contains(char::is_control) {
            return Err(refused(location, "control characters are not allowed in it"));
        }
        let scheme = location.split_once("://").map_or("", |(scheme, _)| scheme);
        let rest = &location[scheme.len()..];
        // keys mean themselves in object stores and are decoded in web addresses: neither may climb
        if rest.split(['/', '\\']).any(|segment| is_dots(segment) || is_dots(&percent_decoded_dots(segment)))
        {
            return Err(refused(location, CLIMBS));
        }
        if self.names_no_location() {
            return Ok(OBJECT_STORES.contains(&scheme));
        }
        Ok(self.prefixes.iter().any(|prefix| match prefix {
            Prefix::Remote(prefix) => is_below(location, prefix),
            Prefix::Local(_) | Prefix::Hub(_) => false,
        }))
    }

    /// Whether the operator has said nothing of locations, so that the object stores are allowed.
    fn names_no_location(&self) -> bool {
        self.prefixes.iter().all(|prefix| matches!(prefix, Prefix::Hub(_)))
    }

    fn allows_path(&self, location: &str, path: &Path) -> Result<bool> {
        if !path.is_absolute() {
            return Err(refused(
                location,
                "a local path must be absolute, and below a directory that is allowed",
            ));
        }
        if path.components().any(|component| component == Component::ParentDir) {
            return Err(refused(location, CLIMBS));
        }
        let (directory, whole) = (resolve(&literal_part(path)), resolve(path));
        Ok(self.prefixes.iter().any(|prefix| match prefix {
            Prefix::Local(root) => directory.starts_with(root) && whole.starts_with(root),
            Prefix::Remote(_) | Prefix::Hub(_) => false,
        }))
    }
}

impl Policy for AllowList {
    fn check(&self, location: &Location) -> Result<()> {
        let allowed = match location.path() {
            Some(path) => self.allows_path(location.as_str(), path)?,
            None => self.allows_uri(location.as_str())?,
        };
        if allowed {
            return Ok(());
        }
        let allowed = match self.names_no_location() {
            true => "s3://, gs:// and az://".to_string(),
            false => self.prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(", "),
        };
        Err(refused(location.as_str(), &format!("this service allows {allowed}")))
    }

    fn check_model(&self, id: &str) -> Result<()> {
        let allowed = self.prefixes.iter().any(|prefix| match prefix {
            Prefix::Hub(prefix) => prefix.is_empty() || is_below(id, prefix),
            Prefix::Local(_) | Prefix::Remote(_) => false,
        });
        if allowed || self.own_model.as_deref() == Some(id) {
            return Ok(());
        }
        Err(Error::new(
            Code::Forbidden,
            format!("model {id:?}: this service does not fetch it; its operator may allow {HUB}{id}"),
        ))
    }
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

fn refused(location: &str, why: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(prefixes: &[&str]) -> AllowList {
        AllowList::parse(&prefixes.iter().map(|prefix| prefix.to_string()).collect::<Vec<_>>()).unwrap()
    }

    fn check(allow: &AllowList, location: &str) -> Result<()> {
        allow.check(&location.parse()?)
    }

    fn refused(allow: &AllowList, location: &str) {
        assert_eq!(check(allow, location).unwrap_err().code, Code::Forbidden, "{location}");
    }

    #[test]
    fn models_of_the_hub_are_fetched_where_the_operator_says_so() {
        for (prefixes, allowed, refused) in [
            (&[][..], &[][..], &["facebook/esm2"][..]),
            (&["s3://b"], &[], &["facebook/esm2"]),
            (&["hf://"], &["facebook/esm2", "a/b"], &[]),
            (&["hf://facebook/"], &["facebook/esm2"], &["facebook2/esm2", "a/b"]),
            (&["hf://facebook/esm2"], &["facebook/esm2"], &["facebook/esm2b"]),
        ] {
            let allow = list(prefixes);
            allowed.iter().for_each(|id| allow.check_model(id).unwrap());
            for id in refused {
                assert_eq!(allow.check_model(id).unwrap_err().code, Code::Forbidden, "{prefixes:?} {id}");
            }
        }
        let own = list(&[]).with_model(&"a/b@v1".parse().unwrap());
        own.check_model("a/b").unwrap();
        let with_hub = list(&["hf://a"]);
        check(&with_hub, "s3://b/x").unwrap();
        assert!(with_hub.probes().is_empty(), "the hub is no store");
    }

    #[test]
    fn without_a_prefix_object_stores_are_allowed_and_nothing_else() {
        let allow = list(&[]);
        for location in ["s3://b/a.fa", "gs://b/*.fa", "az://c/a", "s3://b/a b%.fa"] {
            check(&allow, location).unwrap();
        }
        for location in
            ["/etc/passwd", "a.fa", "file:///etc/passwd", "file:/etc/passwd", "http://h/a", "https://h/a"]
        {
            refused(&allow, location);
        }
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let allow = list(&["s3://b/data", "https://h.example/rna/"]);
        for location in ["s3://b/data", "s3://b/data/", "s3://b/data/x/*.fa", "https://h.example/rna/a.fa"] {
            check(&allow, location).unwrap();
        }
        for location in
            ["s3://b/database/a.fa", "s3://b", "s3://c/data/a", "https://h.example/dna", "gs://b/data/a"]
        {
            refused(&allow, location);
        }
    }

    #[test]
    fn no_location_climbs_out_of_its_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_str().unwrap();
        let allow = list(&["s3://b/data", "https://h/data", root]);
        for location in [
            "s3://b/data/../secret",
            "s3://b/data/%2e%2E/secret",
            "https://h/data/%2e%2e/secret",
            "https://h/data/.%2e/secret",
            "https://h/data/.\t./secret",
            "s3://b/data/x\\..\\..\\secret",
            &format!("{root}/../etc/passwd"),
            &format!("file://{root}/%2e%2e/etc/passwd"),
            &format!("file://{root}/../../etc/passwd"),
        ] {
            refused(&allow, location);
        }
    }

    #[test]
    fn local_files_are_allowed_below_the_directory_and_links_do_not_lead_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::create_dir_all(directory.path().join("rooted")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("in"), root.join("link")).unwrap();
        let allow = list(&[root.to_str().unwrap()]);
        let below = |name: &str| root.join(name).to_str().unwrap().to_string();
        for name in ["in/new/scores.tsv", "in/*.fa", "link/a.fa", "*/a.fa", ""] {
            check(&allow, &below(name)).unwrap();
            check(&allow, &format!("file://{}", below(name))).unwrap();
        }
        for location in
            [below("out/passwd"), below("out/*"), format!("{}/rooted/a", directory.path().display())]
        {
            refused(&allow, &location);
        }
    }

    #[test]
    fn prefixes_that_mean_nothing_are_refused() {
        for prefix in ["s3://", "ftp://h/", "s3://key@b/", "s3://b/*", "/does/not/exist", "C:\\data"] {
            let error = AllowList::parse(&[prefix.to_string()]).unwrap_err();
            assert_eq!(error.code, Code::Usage, "{prefix}");
        }
    }
}
