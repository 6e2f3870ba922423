//! What a label asks of a record.

use super::labels::{Label, Labels};
use super::structure::partners;
use crate::error::{Error, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is told from the embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The class of a sequence: a label is its name
    Sequence,
    /// The class of each residue: a label holds a letter for each
    Residue,
    /// Whether each residue is paired: a label is a structure in dot-bracket notation
    Paired,
    /// Which residues are paired with each other: a label is a structure in dot-bracket notation
    Pair,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Task::Sequence => "sequence",
            Task::Residue => "residue",
            Task::Paired => "paired",
            Task::Pair => "pair",
        }
    }

    /// Whether a vector for each residue is needed.
    pub fn per_residue(self) -> bool {
        self != Task::Sequence
    }

    /// What a class of residues is called.
    pub fn class_of_letter(self, letter: u8) -> String {
        match PAIRED.iter().find(|(of, _)| *of == letter) {
            Some((_, name)) if self == Task::Paired => (*name).to_string(),
            _ => char::from(letter).to_string(),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How bases that are not paired, and that are, stand among the letters of [`Targets::Residues`].
pub const PAIRED: [(u8, &str); 2] = [(b'.', "unpaired"), (b'|', "paired")];

/// A record's label, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// A class of the whole
    Whole(String),
    /// A class of each residue by its letter; none where it is left out
    Residues(Vec<Option<u8>>),
    /// The partner of each residue
    Partners(Vec<Option<u32>>),
}

impl Targets {
    /// Reads the label of a record of so many residues.
    ///
    /// # Errors
    /// `BadInput` where the lengths differ, or brackets do not balance.
    pub fn read(task: Task, labels: &Labels, label: &Label, residues: usize) -> Result<Targets> {
        let wrong =
            |what: String| Err(Error::bad_input(format!("labels: {}: {what}", labels.describe(label))));
        if task.per_residue() && label.text.len() != residues {
            return wrong(format!(
                "the label has {} letters and the record {residues} residues; allowed is a letter for each residue",
                label.text.len()
            ));
        }
        let mask = label.mask.as_deref().filter(|_| task.per_residue());
        if let Some(mask) = mask.filter(|mask| mask.len() != residues) {
            return wrong(format!(
                "the mask has {} letters and the record {residues} residues; allowed is a letter for each residue",
                mask.len()
            ));
        }
        let kept = |at: usize| mask.is_none_or(|mask| mask[at] != b'0');
        match task {
            Task::Sequence => Ok(Targets::Whole(String::from_utf8_lossy(&label.text).into_owned())),
            Task::Residue => {
                let class = |(at, letter): (usize, &u8)| kept(at).then_some(*letter);
                Ok(Targets::Residues(label.text.iter().enumerate().map(class).collect()))
            }
            Task::Paired | Task::Pair => {
                let partners = match partners(&label.text) {
                    Ok(partners) => partners,
                    Err(what) => return wrong(format!("in the structure, {what}")),
                };
                if task == Task::Pair {
                    return Ok(Targets::Partners(partners));
                }
                let class = |(at, partner): (usize, &Option<u32>)| {
                    kept(at).then(|| PAIRED[usize::from(partner.is_some())].0)
                };
                Ok(Targets::Residues(partners.iter().enumerate().map(class).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::LabelOptions;
    use crate::storage::Storage;

    fn read(task: Task, text: &str, residues: usize) -> Result<Targets> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.tsv");
        std::fs::write(&path, format!("id\tlabel\tm\na\t{text}\n")).unwrap();
        let options = LabelOptions {
            labels: path.to_str().unwrap().to_string(),
            label_id: "id".to_string(),
            label: "label".to_string(),
            split: None,
            mask: text.contains('\t').then(|| "m".to_string()),
        };
        let labels = Labels::read(&Storage::from_env().unwrap(), &options).unwrap();
        Targets::read(task, &labels, &labels.rows[0], residues)
    }

    #[test]
    fn a_label_is_read_as_the_task_says() {
        assert_eq!(read(Task::Sequence, "tRNA", 3).unwrap(), Targets::Whole("tRNA".to_string()));
        let residues = Targets::Residues(vec![Some(b'H'), None, Some(b'C')]);
        assert_eq!(read(Task::Residue, "HEC\t101", 3).unwrap(), residues);
        let paired = Targets::Residues(vec![Some(b'|'), Some(b'.'), Some(b'|')]);
        assert_eq!(read(Task::Paired, "(.)", 3).unwrap(), paired);
        assert_eq!(read(Task::Pair, "(.)", 3).unwrap(), Targets::Partners(vec![Some(2), None, Some(0)]));
    }

    #[test]
    fn a_label_of_another_length_or_out_of_balance_names_file_line_and_record() {
        for (task, text, expected) in [
            (Task::Residue, "HEC", "3 letters and the record 4 residues"),
            (Task::Residue, "HECC\t111", "the mask has 3 letters and the record 4"),
            (Task::Pair, "(..", "3 letters"),
            (Task::Paired, "(...", "position 1 is '(', and nothing closes it"),
        ] {
            let message = read(task, text, 4).unwrap_err().message;
            assert!(message.contains(expected) && message.contains("labels.tsv, line 2 (a)"), "{message}");
        }
    }
}
