//! Which of a folder's files hold a model's weights; the same for local folders, object stores and the hub.

use crate::error::{Error, Result};

/// Names that weights have, in the order they are looked for.
const WEIGHTS: [&str; 8] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "weights.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pth",
    "model.pt",
    "model.bin",
];

const EXTENSIONS: [&str; 3] = [".safetensors", ".pth", ".pt"];

/// Files beside the weights that say more of the architecture and the alphabet.
pub(super) const BESIDE: [&str; 3] = ["config.json", "vocab.txt", "tokenizer_config.json"];
/// The model card, in a repository's root: it states the licence.
pub(super) const CARD: &str = "README.md";

/// Picks a model's weights (or their index) out of the names in a folder, which may have folders in them: one of the
/// names that weights usually have, else the one file that looks like weights.
pub(super) fn choose<'a>(names: &[&'a str], shown: &str) -> Result<&'a str> {
    let usual = WEIGHTS.iter().find_map(|weights| names.iter().find(|name| *name == weights));
    if let Some(found) = usual {
        return Ok(found);
    }
    let looks_like_weights =
        |name: &&&str| EXTENSIONS.iter().any(|extension| name.to_ascii_lowercase().ends_with(extension));
    let found: Vec<&str> = names.iter().filter(looks_like_weights).copied().collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::model(format!(
            "model {shown:?} is a folder without weights: allowed are {}, or one file {}",
            WEIGHTS.join(", "),
            EXTENSIONS.map(|extension| format!("*{extension}")).join(", ")
        ))),
        several => Err(Error::model(format!(
            "model {shown:?} is a folder with several files of weights: name one of {}",
            several.join(", ")
        ))),
    }
}

/// The name of a file in the same folder as `name`.
pub(super) fn beside(name: &str, other: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{other}"),
        None => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_names_win_and_a_lone_file_is_found() {
        for (names, expected) in [
            (&["pytorch_model.bin", "config.json", "model.safetensors"][..], "model.safetensors"),
            (
                &["model-00001-of-00002.safetensors", "model.safetensors.index.json"],
                "model.safetensors.index.json",
            ),
            (&["README.md", "data/weights/esmc.pth"], "data/weights/esmc.pth"),
            (&["x.PT"], "x.PT"),
            (&["pytorch_model.bin", "tf_model.h5", "optimizer.pt"], "pytorch_model.bin"),
        ] {
            assert_eq!(choose(names, "m").unwrap(), expected);
        }
    }

    #[test]
    fn no_weights_and_too_many_are_errors_that_say_what_would_do() {
        let none = choose(&["README.md", "config.json"], "m").unwrap_err();
        assert!(none.message.contains("pytorch_model.bin"), "{none}");
        let several = choose(&["a.pt", "b.pt"], "m").unwrap_err();
        assert!(several.message.contains("name one of a.pt, b.pt"), "{several}");
    }

    #[test]
    fn what_lies_beside_a_file_is_in_its_folder() {
        assert_eq!(beside("a/b/model.pth", "config.json"), "a/b/config.json");
        assert_eq!(beside("model.pth", "config.json"), "config.json");
    }
}
