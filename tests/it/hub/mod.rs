//! Models of the hub, by the real program against a hub of our own: fetching, resuming, the cache, refusals.

mod server;

use assert_cmd::Command;
use server::{COMMIT, Holdings, Server};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

const MODEL: &str = "multimolecule/rnafm-tiny";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rna_fm_multimolecule")
}

fn holdings() -> Holdings {
    let file = |name: &str| (name.to_string(), std::fs::read(fixture().join(name)).unwrap());
    let mut files: BTreeMap<_, _> =
        ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"].map(file).into();
    files.insert("README.md".into(), b"---\nlicense: agpl-3.0\n---\n# RNA-FM\n".to_vec());
    files.insert("pytorch_model.bin".into(), b"not wanted where safetensors are".to_vec());
    Holdings { repository: MODEL.into(), files, ..Holdings::default() }
}

/// A machine with a cache of its own.
struct Machine {
    home: TempDir,
    endpoint: String,
    environment: Vec<(&'static str, &'static str)>,
}

impl Machine {
    fn new(endpoint: &str) -> Machine {
        Machine { home: tempfile::tempdir().unwrap(), endpoint: endpoint.into(), environment: Vec::new() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioprune"));
        for (name, _) in std::env::vars_os() {
            if ["HF_", "BIOPRUNE_", "XDG_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_HOME", self.home.path());
        command.envs(self.environment.iter().copied()).current_dir(self.home.path());
        command.args(arguments).output().unwrap()
    }

    fn show(&self, model: &str) -> serde_json::Value {
        let output = self.run(&["models", "show", model, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The message with which a model is not to be had.
    fn refusal(&self, model: &str) -> String {
        let output = self.run(&["models", "show", model]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(69), "{message}");
        assert!(message.contains(model), "{message}");
        message
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub/models--multimolecule--rnafm-tiny")
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn requests(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| asked.request).collect()
}

#[test]
fn a_model_is_fetched_once_into_the_cache_that_huggingface_hub_has() {
    let server = Server::start(holdings());
    let machine = Machine::new(&server.url);
    let shown = machine.show(MODEL);
    assert_eq!((&shown["family"], &shown["status"]), (&"rna-fm".into(), &"cached".into()));
    assert_eq!(shown["licence"], "agpl-3.0", "the model card says so");
    assert_eq!(shown["digest"], machine.show(fixture().to_str().unwrap())["digest"]);
    let asked = requests(&server);
    assert!(!asked.iter().any(|request| request.contains("pytorch_model.bin")), "{asked:?}");

    let snapshot = machine.cache().join("snapshots").join(COMMIT);
    assert_eq!(std::fs::read_to_string(machine.cache().join("refs/main")).unwrap(), COMMIT);
    let link = std::fs::read_link(snapshot.join("model.safetensors")).unwrap();
    let blob = link.to_str().unwrap().strip_prefix("../../blobs/").unwrap();
    assert_eq!(blob.len(), 64, "a large file is named by its SHA-256");
    let names: Vec<_> = std::fs::read_dir(machine.cache().join("blobs")).unwrap().collect();
    assert_eq!(names.len(), 5, "no file is left half-fetched: {names:?}");

    assert_eq!(machine.show(MODEL), shown);
    assert_eq!(requests(&server), [format!("GET /api/models/{MODEL}/revision/main")], "the files are there");
    let list = machine.run(&["models", "list", "--json"]);
    let models: Vec<serde_json::Value> = serde_json::from_slice(&list.stdout).unwrap();
    let listed = models.iter().find(|model| model["name"] == MODEL).unwrap();
    assert_eq!((&listed["status"], &listed["licence"]), (&"cached".into(), &"agpl-3.0".into()));
    assert!(
        models
            .iter()
            .any(|model| model["status"] == "known" && model["name"] == "facebook/esm2_t12_35M_UR50D")
    );
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let breaks_after = Some(150_000);
    let server = Server::start(Holdings { breaks_after, ..holdings() });
    let machine = Machine::new(&server.url);
    machine.show(MODEL);
    let asked = server.asked();
    let ranges: Vec<_> = asked
        .iter()
        .filter(|asked| asked.request == "GET /model.safetensors")
        .map(|asked| asked.range.clone())
        .collect();
    assert_eq!(ranges, [None, Some("bytes=150000-".into()), Some("bytes=300000-".into())]);
}

#[test]
fn content_that_is_not_what_the_hub_says_is_thrown_away() {
    let server = Server::start(Holdings { corrupt: true, ..holdings() });
    let machine = Machine::new(&server.url);
    let message = machine.refusal(MODEL);
    assert!(
        message.contains("file model.safetensors: what came is not what the hub says it is"),
        "{message}"
    );
    let left: Vec<_> = std::fs::read_dir(machine.cache().join("blobs"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().metadata().unwrap().len() > 100_000)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_private_model_wants_a_token_which_goes_to_the_hub_alone() {
    let server = Server::start(Holdings { token: Some("hf_secret".into()), ..holdings() });
    let mut machine = Machine::new(&server.url);
    let message = machine.refusal(MODEL);
    assert!(message.contains("no such model") && message.contains("HF_TOKEN"), "{message}");
    machine.environment = vec![("HF_TOKEN", "hf_wrong")];
    let message = machine.refusal(MODEL);
    assert!(message.contains("the token may not read it") && !message.contains("hf_wrong"), "{message}");
    server.asked();

    machine.environment.clear();
    std::fs::write(machine.home.path().join("token"), "hf_secret\n").unwrap();
    machine.show(MODEL);
    for asked in server.asked() {
        let expected =
            if asked.request == "GET /model.safetensors" { None } else { Some("Bearer hf_secret") };
        assert_eq!(asked.token.as_deref(), expected, "{}", asked.request);
    }
}

#[test]
fn what_the_hub_refuses_is_told_with_its_reason() {
    for (error_code, expected) in [
        ("GatedRepo", "its authors give access on request"),
        ("RepoNotFound", "there is no such model"),
        ("RevisionNotFound", "it has no revision \"main\""),
    ] {
        let server = Server::start(Holdings { error_code: Some(error_code), ..holdings() });
        let message = Machine::new(&server.url).refusal(MODEL);
        assert!(message.contains(expected), "{message}");
    }
    let mut nothing = holdings();
    nothing.files.retain(|name, _| name == "README.md");
    let server = Server::start(nothing);
    let message = Machine::new(&server.url).refusal(MODEL);
    assert!(message.contains("without weights"), "{message}");
}

#[test]
fn a_network_that_fails_is_told_from_a_model_that_is_not_there() {
    let server = Server::start(holdings());
    let mut machine = Machine::new(&server.url);
    let digest = machine.show(MODEL)["digest"].clone();
    drop(server);

    let output = machine.run(&["models", "show", MODEL, "--json"]);
    assert_eq!(output.status.code(), Some(0), "the cache serves: {}", stderr(&output));
    assert!(stderr(&output).contains(&format!("using commit {COMMIT} of the cache")), "{}", stderr(&output));
    let message = machine.refusal("multimolecule/other");
    assert!(message.contains("cannot be reached") && !message.contains("no such model"), "{message}");

    machine.environment = vec![("HF_HUB_OFFLINE", "1")];
    let output = machine.run(&["models", "show", MODEL, "--json"]);
    assert!(output.stderr.is_empty(), "offline is no failure: {}", stderr(&output));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["digest"], digest);
    let message = machine.refusal("multimolecule/other");
    assert!(message.contains("HF_HUB_OFFLINE"), "{message}");
}

#[test]
fn a_revision_pins_a_model_and_a_moved_one_is_followed() {
    let server = Server::start(holdings());
    let machine = Machine::new(&server.url);
    let pinned = format!("{MODEL}@{COMMIT}");
    let shown = machine.show(&pinned);
    assert_eq!(shown["name"], pinned);
    assert!(!machine.cache().join("refs").exists(), "a commit needs no reference");
    assert_eq!(machine.show(&format!("{MODEL}@v1"))["digest"], shown["digest"]);
    assert_eq!(std::fs::read_to_string(machine.cache().join("refs/v1")).unwrap(), COMMIT);
    let message = machine.refusal(&format!("{MODEL}@v2"));
    assert!(message.contains("no revision \"v2\""), "{message}");
    assert_eq!(machine.show("old/name")["digest"], shown["digest"]);
}

#[test]
fn a_local_path_wins_over_a_model_of_the_hub() {
    let server = Server::start(holdings());
    let machine = Machine::new(&server.url);
    let folder = machine.home.path().join(MODEL);
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(fixture(), &folder).unwrap();
    assert_eq!(machine.show(MODEL)["status"], "file");
    assert!(server.asked().is_empty(), "nothing is asked of the hub");
}

#[test]
fn a_model_at_a_web_address_comes_with_what_lies_beside_it() {
    let server = Server::start(holdings());
    let machine = Machine::new(&server.url);
    let address = format!("{}/{MODEL}/resolve/{COMMIT}/config.json", server.url);
    let message = machine.refusal(&address);
    assert!(message.contains("neither a safetensors file"), "{message}");
    let asked = requests(&server);
    assert!(asked.iter().any(|request| request.ends_with("/vocab.txt")), "{asked:?}");
}
