//! Which locations the operator lets requests touch.

use super::prefix::{HUB, Prefix, Prefixes, check_spelling, refused};
use crate::error::{Code, Error, Result};
use crate::hub::ModelId;
use crate::storage::{Access, Location, Policy};

const OBJECT_STORES: [&str; 3] = ["s3://", "gs://", "az://"];

/// What the operator allows: everything below some prefixes, or, without any, the object stores.
#[derive(Clone, Debug)]
pub(super) struct AllowList {
    prefixes: Prefixes,
    own_model: Option<String>,
}

impl AllowList {
    /// # Errors
    /// `usage` where a prefix is no URI of a known kind, or a directory that is not there.
    pub fn parse(prefixes: &[String]) -> Result<AllowList> {
        let prefixes = Prefixes::parse(prefixes.iter().map(String::as_str))?;
        Ok(AllowList { prefixes, own_model: None })
    }

    /// The same, and the hub's model that the operator has named as the one of requests that name none.
    pub fn with_model(self, id: &ModelId) -> AllowList {
        AllowList { own_model: Some(id.repository()), ..self }
    }

    /// What to ask for an answer to learn whether the allowed stores are in reach: names that need not exist.
    pub fn probes(&self) -> Vec<String> {
        let stores = self.prefixes.0.iter().filter(|prefix| !matches!(prefix, Prefix::Hub(_)));
        stores.map(|prefix| format!("{prefix}/.bioprune-probe")).collect()
    }

    /// Whether the operator has said nothing of locations, so that the object stores are allowed.
    fn names_no_location(&self) -> bool {
        self.prefixes.0.iter().all(|prefix| matches!(prefix, Prefix::Hub(_)))
    }
}

impl Policy for AllowList {
    /// What may be read may be written: tokens tell the two apart.
    fn check(&self, location: &Location, _: Access) -> Result<()> {
        let text = location.as_str();
        if !self.names_no_location() {
            if self.prefixes.hold(location)? {
                return Ok(());
            }
            let allowed: Vec<_> = self.prefixes.0.iter().map(Prefix::to_string).collect();
            return Err(refused(text, &format!("this service allows {}", allowed.join(", "))));
        }
        check_spelling(location)?;
        match OBJECT_STORES.iter().any(|store| text.starts_with(store)) {
            true => Ok(()),
            false => Err(refused(text, "this service allows s3://, gs:// and az://")),
        }
    }

    fn check_model(&self, id: &str) -> Result<()> {
        if self.prefixes.hold_model(id) || self.own_model.as_deref() == Some(id) {
            return Ok(());
        }
        Err(Error::new(
            Code::Forbidden,
            format!("model {id:?}: this service does not fetch it; its operator may allow {HUB}{id}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(prefixes: &[&str]) -> AllowList {
        AllowList::parse(&prefixes.iter().map(|prefix| prefix.to_string()).collect::<Vec<_>>()).unwrap()
    }

    fn check(allow: &AllowList, location: &str) -> Result<()> {
        allow.check(&location.parse()?, Access::Read)
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
