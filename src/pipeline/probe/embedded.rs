//! Labelled records through the model, a pass for each split; and their vectors, with one-hot ones beside them.

use super::classes::Classes;
use super::deal::{Deal, Dealt};
use crate::error::{Error, Result};
use crate::pipeline::embed::{Embedder, Row, residues};
use crate::pipeline::session::Session;
use crate::pipeline::workers::in_order;
use crate::pipeline::{Counts, Stage};
use crate::probe::{
    Codes, Components, Examples, Labels, NEAREST, Sample, Split, Targets, Task, pair_of_bases,
    pair_of_states, pooled, window,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// States that components are found on: several for each number of the largest models' states.
const STATES: usize = 10_000;

/// The two kinds of vectors that probes are fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Features {
    Embedding,
    OneHot,
}

impl Features {
    pub const ALL: [Features; 2] = [Features::Embedding, Features::OneHot];

    pub fn name(self) -> &'static str {
        match self {
            Features::Embedding => "embedding",
            Features::OneHot => "one-hot",
        }
    }
}

/// What a vector is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    Record,
    Residue(usize),
    Pair(usize, usize),
}

impl Site {
    /// Of the seed, the record and the site: what a sample goes by.
    fn key(self, record: u64, seed: u64) -> u64 {
        let (i, j) = match self {
            Site::Record => (0, 0),
            Site::Residue(at) => (at, 0),
            Site::Pair(i, j) => (i, j),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&record.to_le_bytes());
        bytes[8..12].copy_from_slice(&(i as u32).to_le_bytes());
        bytes[12..].copy_from_slice(&(j as u32).to_le_bytes());
        xxh3_64_with_seed(&bytes, seed)
    }
}

/// What all passes share.
pub(super) struct Passes<'a> {
    pub session: &'a Session<'a>,
    pub labels: &'a Labels,
    pub deal: &'a Deal,
    pub classes: &'a Classes,
    pub codes: Codes,
    /// For pairs
    pub components: Option<Components>,
    pub task: Task,
    pub seed: u64,
    pub max_examples: usize,
}

/// A labelled record as the model sees it.
pub(super) struct Embedded<'a> {
    pub dealt: &'a Dealt,
    pub targets: Targets,
    codes: &'a Codes,
    /// Tokens of the residues that the model sees
    residues: Vec<u32>,
    /// `[1, d]`, or `[residues, d]`; of pairs the components of states less the record's mean
    vectors: Vec<f32>,
    d: usize,
}

impl Embedded<'_> {
    /// Residues that the model sees.
    pub fn residues(&self) -> usize {
        self.residues.len()
    }

    /// Writes the vector of a site.
    pub fn vector(&self, features: Features, site: Site, vector: &mut Vec<f32>) {
        let (codes, residues) = (self.codes, &self.residues);
        match (features, site) {
            (Features::Embedding, Site::Pair(i, j)) => pair_of_states(&self.vectors, self.d, (i, j), vector),
            (Features::OneHot, Site::Pair(i, j)) => pair_of_bases(codes, residues, (i, j), vector),
            (Features::Embedding, Site::Record) => self.vectors.clone_into(vector),
            (Features::Embedding, Site::Residue(at)) => {
                self.vectors[at * self.d..(at + 1) * self.d].clone_into(vector);
            }
            (Features::OneHot, Site::Record) => *vector = pooled(codes, residues),
            (Features::OneHot, Site::Residue(at)) => *vector = window(codes, residues, at),
        }
    }

    /// Whether two residues are paired with each other.
    pub fn is_pair(&self, i: usize, j: usize) -> bool {
        matches!(&self.targets, Targets::Partners(partners) if partners[i] == Some(j as u32))
    }

    /// Pairs that the model sees both bases of, and that are far enough apart to be told.
    pub fn pairs(&self) -> u64 {
        let Targets::Partners(partners) = &self.targets else { return 0 };
        let seen = partners.iter().enumerate().filter(|(i, partner)| {
            partner.is_some_and(|j| j as usize >= i + NEAREST && (j as usize) < self.residues())
        });
        seen.count() as u64
    }

    /// The sites of the record with the numbers of their classes; of pairs none: these are sites without number.
    pub fn sites(&self, classes: &Classes) -> Vec<(Site, u32)> {
        match &self.targets {
            Targets::Whole(class) => vec![(Site::Record, classes.number(class))],
            Targets::Residues(letters) => {
                let numbers = classes.letters();
                let seen = letters.iter().take(self.residues()).enumerate();
                seen.filter_map(|(at, letter)| Some((Site::Residue(at), numbers[usize::from((*letter)?)])))
                    .collect()
            }
            Targets::Partners(_) => Vec::new(),
        }
    }
}

/// A sampled example: its vectors by [`Features`], its class and its group.
type Drawn = ([Vec<f32>; 2], u32, u32);

impl Passes<'_> {
    /// Embeds the records that are wanted, and visits them in input order.
    pub fn each(
        &self,
        wanted: impl Fn(&Dealt) -> bool + Sync,
        mut visit: impl FnMut(Embedded) -> Result<()>,
    ) -> Result<Counts> {
        let (session, per_residue) = (self.session, self.task.per_residue());
        let (labels, deal) = (self.labels, self.deal);
        let embedder = || Embedder::new(session, per_residue);
        let workers = std::iter::repeat_with(embedder).take(session.threads).collect();
        let mut reading = session.reading(None);
        let mut tracker = session.tracker(Stage::Embed, None, None, None);
        let next = || {
            session.encoded(&mut reading, |record| {
                deal.find(labels, record.id(), (record.source, record.position)).is_some_and(&wanted)
            })
        };
        in_order(workers, &session.context.cancel, next, |rows: Vec<Row>| {
            let (records, tokens) = (rows.len() as u64, rows.iter().map(|row| u64::from(row.tokens)).sum());
            let last = rows.last().map(|row| row.record.place());
            for row in rows {
                visit(self.embedded(row)?)?;
            }
            tracker.advance_to(last, records, tokens)
        })?;
        tracker.finish();
        Ok(reading.into_counts())
    }

    fn embedded(&self, row: Row) -> Result<Embedded<'_>> {
        let Row { record, mut vectors, .. } = row;
        let dealt = self
            .deal
            .find(self.labels, record.id(), (record.source, record.position))
            .ok_or_else(|| Error::internal("a record without a label was embedded"))?;
        let label = &self.labels.rows[dealt.label];
        let tokenizer = &self.session.model.tokenizer;
        let residues = record.tokens[residues(&record.tokens, tokenizer)].to_vec();
        if self.task.per_residue() && !record.truncated && residues.len() != record.residues as usize {
            return Err(Error::usage(format!(
                "task {}: the model {} has no token for each residue; allowed are models that have",
                self.task, self.session.model.info.name
            )));
        }
        let mut d = self.session.model.head.hidden_size;
        if self.task == Task::Pair {
            centre(&mut vectors, d);
        }
        if let Some(components) = &self.components {
            vectors = components.project(&vectors);
            d = components.r;
        }
        let targets = Targets::read(self.task, self.labels, label, record.residues as usize)?;
        Ok(Embedded { dealt, targets, codes: &self.codes, residues, vectors, d })
    }

    /// The components of the training records' states, from a sample of them.
    pub fn find_components(&mut self) -> Result<()> {
        let mut sample = Sample::new(STATES);
        self.each(
            |dealt| dealt.split == Split::Train,
            |record| {
                for at in 0..record.residues() {
                    let site = Site::Residue(at);
                    sample.offer(site.key(record.dealt.hash, self.seed), || {
                        record.vectors[at * record.d..(at + 1) * record.d].to_vec()
                    });
                }
                Ok(())
            },
        )?;
        self.components = Some(Components::of(&sample.into_items(), self.session.model.head.hidden_size));
        Ok(())
    }

    /// A sample of the sites of a split, by [`Features`], and the number of all of its sites. Of pairs half are pairs, as far
    /// as there are so many.
    pub fn sample(&self, split: Split) -> Result<([Examples; 2], u64, Counts)> {
        let halves = if self.task == Task::Pair { 2 } else { 1 };
        let mut samples: Vec<Sample<Drawn>> =
            (0..halves).map(|_| Sample::new(self.max_examples / halves)).collect();
        let counts = self.each(
            |dealt| dealt.split == split,
            |record| {
                let drawn = |site, class| {
                    let mut vectors = [Vec::new(), Vec::new()];
                    for (features, vector) in Features::ALL.into_iter().zip(&mut vectors) {
                        record.vector(features, site, vector);
                    }
                    (vectors, class, record.dealt.group)
                };
                let key = |site: Site| site.key(record.dealt.hash, self.seed);
                for (site, class) in record.sites(self.classes) {
                    // a class that no training record has cannot be fitted
                    if (class as usize) < self.classes.names.len() {
                        samples[0].offer(key(site), || drawn(site, class));
                    }
                }
                if self.task == Task::Pair {
                    for i in 0..record.residues() {
                        for j in i + NEAREST..record.residues() {
                            let (site, class) = (Site::Pair(i, j), u32::from(record.is_pair(i, j)));
                            samples[class as usize].offer(key(site), || drawn(site, class));
                        }
                    }
                }
                Ok(())
            },
        )?;
        let offered = samples.iter().map(|sample| sample.offered).sum();
        let mut examples: Option<[Examples; 2]> = None;
        for (vectors, class, group) in samples.into_iter().flat_map(Sample::into_items) {
            let both = examples.get_or_insert_with(|| [0, 1].map(|kind| Examples::new(vectors[kind].len())));
            for (examples, vector) in both.iter_mut().zip(&vectors) {
                examples.push(vector, class, group);
            }
        }
        let examples = examples.ok_or_else(|| {
            Error::bad_input(format!("labels: no record of {} is left to fit on", self.labels.source.uri))
        })?;
        Ok((examples, offered, counts))
    }
}

/// Takes the mean of rows of `d` numbers from each of them.
fn centre(rows: &mut [f32], d: usize) {
    let mut means = vec![0f64; d];
    for row in rows.chunks_exact(d) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    let n = (rows.len() / d).max(1) as f64;
    for row in rows.chunks_exact_mut(d) {
        row.iter_mut().zip(&means).for_each(|(value, mean)| *value -= (mean / n) as f32);
    }
}
