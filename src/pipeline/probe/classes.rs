//! The classes that the training labels name, and labels as numbers of them.

use super::deal::Dealt;
use crate::error::{Error, Result};
use crate::probe::{Labels, PAIRED, Targets, Task};
use std::collections::BTreeMap;

/// More classes than this are names rather than classes.
const MOST: usize = 1000;

/// Classes by their names, in order.
pub(super) struct Classes {
    task: Task,
    pub names: Vec<String>,
    /// Training examples of each
    pub training: Vec<u64>,
}

impl Classes {
    /// The classes of the records that are trained on; those of pairs are that they are none, and one.
    pub fn of<'a>(task: Task, labels: &Labels, training: impl Iterator<Item = &'a Dealt>) -> Result<Classes> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut letters = [0u64; 256];
        for record in training {
            let label = &labels.rows[record.label];
            match Targets::read(task, labels, label, label.text.len())? {
                Targets::Whole(class) => *counts.entry(class).or_default() += 1,
                Targets::Residues(classes) => {
                    classes.into_iter().flatten().for_each(|letter| letters[usize::from(letter)] += 1);
                }
                Targets::Partners(partners) => {
                    letters[usize::from(PAIRED[1].0)] += partners.iter().flatten().count() as u64 / 2;
                }
            }
        }
        for (letter, count) in (0..=255u8).zip(letters).filter(|(_, count)| *count > 0) {
            counts.insert(task.class_of_letter(letter), count);
        }
        let of_labels = |what: String| Err(Error::bad_input(format!("labels: {} {what}", labels.source.uri)));
        if task == Task::Pair {
            if counts.is_empty() {
                return of_labels("has no pair in any structure to train on".to_string());
            }
            let pairs = counts.into_values().sum();
            return Ok(Classes {
                task,
                names: PAIRED.map(|(_, name)| name.to_string()).into(),
                training: vec![0, pairs],
            });
        }
        match counts.len() {
            2..=MOST => {
                let (names, training) = counts.into_iter().unzip();
                Ok(Classes { task, names, training })
            }
            1 => of_labels(format!(
                "has one class alone to train on, {:?}; allowed are two or more",
                counts.into_keys().next().unwrap_or_default()
            )),
            number => of_labels(format!("has {number} classes to train on; allowed are 2 to {MOST}")),
        }
    }

    /// The number of a class that is called so; the number after all where none is.
    pub fn number(&self, name: &str) -> u32 {
        self.names.binary_search_by(|class| class.as_str().cmp(name)).unwrap_or(self.names.len()) as u32
    }

    /// The number for each letter.
    pub fn letters(&self) -> [u32; 256] {
        let mut numbers = [self.names.len() as u32; 256];
        (0..=255u8).for_each(|letter| {
            numbers[usize::from(letter)] = self.number(&self.task.class_of_letter(letter));
        });
        numbers
    }

    /// The class that most training examples are of; the first of several.
    pub fn commonest(&self) -> u32 {
        let better = |best: usize, at: usize| if self.training[at] > self.training[best] { at } else { best };
        (0..self.names.len()).fold(0, better) as u32
    }
}
