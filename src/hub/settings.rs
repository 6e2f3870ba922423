//! Where the hub, its cache and the token are, by the environment variables of huggingface_hub.

use crate::error::{Error, Result};
use std::path::PathBuf;
use url::Url;

const ENDPOINT: &str = "https://huggingface.co";

pub(super) struct Settings {
    /// Without a slash at its end
    pub endpoint: Url,
    pub cache: PathBuf,
    pub token: Option<String>,
    /// Nothing is asked of the network
    pub offline: bool,
}

impl Settings {
    /// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| Some(expanded(&set(name)?, set("HOME").as_deref()));
        let home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(path("HOME")?.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| Some(home.as_ref()?.join("hub"))).ok_or_else(|| {
            Error::model("models of the hub need a cache: set HF_HOME or HF_HUB_CACHE to a folder")
        })?;
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string());
        let url = Url::parse(endpoint.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
        let stored = || std::fs::read_to_string(token_file?).ok();
        Ok(Settings {
            endpoint: url.ok_or_else(|| {
                Error::usage(format!("HF_ENDPOINT {endpoint:?}: allowed are http:// and https:// addresses"))
            })?,
            cache,
            token: set("HF_TOKEN")
                .or_else(stored)
                .map(|token| token.trim().to_string())
                .filter(|t| !t.is_empty()),
            offline: set("HF_HUB_OFFLINE").is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            }),
        })
    }
}

fn expanded(path: &str, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => PathBuf::from(home).join(below),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        for (variables, expected) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")], "/h/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")], "/c"),
        ] {
            assert_eq!(read(variables).unwrap().cache, PathBuf::from(expected));
        }
        assert!(read(&[]).is_err(), "nowhere to put a model");
    }

    #[test]
    fn the_token_is_the_variable_or_the_file_without_white_space() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "from-file\n").unwrap();
        let home = home.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| read(variables).unwrap().token;
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("from-file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " own ")]).as_deref(), Some("own"));
        assert_eq!(token(&[("HF_HOME", "/nowhere")]), None);
    }

    #[test]
    fn other_endpoints_and_offline_mode_are_taken_from_the_environment() {
        let settings =
            read(&[("HOME", "/h"), ("HF_ENDPOINT", "http://mirror:8080/hf/"), ("HF_HUB_OFFLINE", "YES")]);
        let settings = settings.unwrap();
        assert_eq!(settings.endpoint.as_str(), "http://mirror:8080/hf");
        assert!(settings.offline);
        let plain = read(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).unwrap();
        assert!(!plain.offline && plain.endpoint.as_str().starts_with(ENDPOINT));
        assert!(read(&[("HOME", "/h"), ("HF_ENDPOINT", "mirror")]).is_err());
    }
}
