//! Holds the source to the map in ARCHITECTURE.md: which folder may import which, and who may name which crate.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A folder imports from the lines above its own, never from its own line or below.
const LAYERS: &[&[&str]] = &[
    &["digest", "error", "options", "process", "processors", "random"],
    &["cancel"],
    // tests alone
    &["fuzz"],
    &["hub", "spill", "storage"],
    &["sequence"],
    &["groups", "tokenizer"],
    &["batching"],
    &["model"],
    &["influence", "train"],
    &["evaluation", "selection"],
    &["confounds", "probe", "scores"],
    &["report"],
    &["pipeline"],
    &["jobs"],
    &["client", "service"],
    &["cli"],
];

/// Crates, as they are written in paths, and the only folders that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("object_store", &["storage"]),
    ("candle_core", &["model", "influence", "train"]),
    ("candle_nn", &["model", "influence", "train"]),
    ("actix_web", &["service"]),
    ("utoipa::path", &["service"]),
    ("utoipa::OpenApi", &["service"]),
    ("utoipa_swagger_ui", &["service"]),
    ("rustls", &["service"]),
    ("rusqlite", &["jobs"]),
    ("reqwest", &["client", "hub", "storage"]),
    ("indicatif", &["cli"]),
];

/// A file that is longer holds more than one thing.
const LONGEST_FILE: usize = 400;

struct Source {
    path: String,
    /// The folder (or file) right under `src/`: a line of `LAYERS`.
    folder: String,
    text: String,
}

impl Source {
    /// The code without comments, so that prose may name what code may not.
    fn code(&self) -> String {
        self.text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    assert!(found.len() > 20, "src/ was not found");
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let inside = path.strip_prefix(root).unwrap();
    let first = Path::new(inside.components().next().unwrap().as_os_str());
    Source {
        path: format!("src/{}", inside.display()),
        folder: first.file_stem().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).unwrap(),
    }
}

/// The folders that paths starting with `crate::` lead into, `use crate::{a::B, c}` taken apart.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(first_name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for character in group.chars() {
                    match character {
                        '}' if depth == 0 => break,
                        ',' if depth == 0 => found.push(first_name(&std::mem::take(&mut item))),
                        _ => {
                            depth += i32::from(character == '{') - i32::from(character == '}');
                            item.push(character);
                        }
                    }
                }
                found.push(first_name(&item));
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&folder))
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in
        sources().iter().filter(|source| !matches!(source.path.as_str(), "src/lib.rs" | "src/main.rs"))
    {
        let Some(own) = layer(&source.folder) else {
            wrong.push(format!("{}: {} is in no layer", source.path, source.folder));
            continue;
        };
        for import in imports(&source.code()) {
            let fits = import == source.folder || layer(&import).is_none_or(|other| other < own);
            if !fits {
                wrong.push(format!("{}: imports crate::{import}, which is not below it", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md says why these walls are there:\n{}", wrong.join("\n"));
}

#[test]
fn influence_and_selection_know_nothing_of_storage() {
    for source in
        sources().iter().filter(|source| matches!(source.folder.as_str(), "influence" | "selection"))
    {
        assert!(!imports(&source.code()).contains(&"storage".to_string()), "{}", source.path);
    }
}

#[test]
fn a_crate_is_named_only_by_its_owners() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        for (name, owners) in OWNERS {
            let named = code.match_indices(name).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = code[at + name.len()..].chars().next();
                let part_of_a_name =
                    |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
                !part_of_a_name(before) && !part_of_a_name(after)
            });
            if named && !owners.contains(&source.folder.as_str()) {
                wrong.push(format!("{}: names {name}; only {owners:?} may", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md says why these walls are there:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{}: the first line says what the file is for", source.path);
        let lines = source.text.lines().count();
        assert!(lines <= LONGEST_FILE, "{}: {lines} lines, at most {LONGEST_FILE}", source.path);
    }
}

#[test]
fn the_reader_of_imports_takes_groups_apart() {
    let code = "use crate::{error::{Code, Error}, storage};\nlet x = crate::pipeline::prune();";
    assert_eq!(imports(code), ["error", "storage", "pipeline"]);
}
