//! The records of an evaluation: the pool that coresets are taken from, and what is held out of it.

use super::super::Context;
use super::super::coreset::CORESET;
use super::super::reading::Reading;
use super::super::train::keep_sequence;
use super::composition;
use super::request::HeldOutOptions;
use crate::error::{Code, Error, Result};
use crate::sequence::{CoresetWriter, Dataset, InputFormat, InputOptions, Record};
use crate::storage::Location;
use crate::tokenizer::Tokenizer;
use crate::train::{EncodedRecord, Part, Splitter};
use std::collections::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

/// All records, held in memory as tokens.
pub(super) struct Pool {
    /// In the order of the pool's file
    pub records: Vec<EncodedRecord>,
    /// Length of each of them
    pub residues: Vec<u32>,
    /// Its length and composition, as a cell
    pub cells: Vec<u64>,
    /// Group of each of them, for selections; none where it is its own
    pub keys: Vec<Option<u64>>,
    /// All records of groups that are in no training
    pub new_groups: Vec<EncodedRecord>,
    /// Held-out records of groups that trainings may see
    pub seen_groups: Vec<EncodedRecord>,
    /// Hashes of all records that are held out, dropped ones too
    held_out: HashSet<u64>,
    /// Held-out records that were dropped, because the pool has the same sequence
    pub leaks: u64,
    /// The pool as a file
    pub file: Location,
}

impl Pool {
    /// Reads the inputs, deals the records, and writes those of the pool to `location`.
    pub fn read(
        inputs: &[String],
        input: &InputOptions,
        (options, seed): (&HeldOutOptions, u64),
        (tokenizer, max_tokens): (&Tokenizer, usize),
        location: &Location,
        context: &Context,
    ) -> Result<Pool> {
        let dataset = Dataset::open(&context.storage, inputs, input)?;
        let (storage, sources) = (&context.storage, dataset.sources());
        let mut splitter = Splitter::open(&options.split, options.shares()?, seed, storage, sources)?;
        let mut reading = Reading::new(&dataset, dataset.records(None), (tokenizer, max_tokens), input);
        let (mut all, mut sequence) = (Vec::new(), Vec::new());
        while let Some(record) = reading.next(|record| keep_sequence(record, &mut sequence))? {
            context.cancel.check()?;
            splitter.add((record.source, &record.header, &sequence), record.hash)?;
            let place = (record.source, record.position);
            all.push((
                place,
                record.residues,
                EncodedRecord { hash: record.hash, tokens: record.tokens, group: 0 },
            ));
        }
        let (mut records, mut residues, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        let (mut new_groups, mut seen_groups) = (Vec::new(), Vec::new());
        for ((place, length, record), dealt) in all.into_iter().zip(splitter.finish()?) {
            let record = EncodedRecord { group: dealt.group, ..record };
            match dealt.part {
                Part::Training => {
                    cells.push(composition::cell(tokenizer, &record.tokens, length));
                    records.push(record);
                    residues.push(length);
                    keys.push(dealt.key);
                    places.push(place);
                }
                Part::NewGroup => new_groups.push(record),
                Part::SeenGroup => seen_groups.push(record),
            }
        }
        let sequences: HashSet<u64> = records.iter().map(sequence_hash).collect();
        let held_out = new_groups.iter().chain(&seen_groups).map(|record| record.hash).collect();
        let mut leaks = 0;
        for part in [&mut new_groups, &mut seen_groups] {
            let before = part.len();
            part.retain(|record| !sequences.contains(&sequence_hash(record)));
            leaks += (before - part.len()) as u64;
        }
        if records.is_empty() || new_groups.is_empty() {
            return Err(Error::bad_input(format!(
                "{} are in the pool and {} in groups that are held out: an evaluation needs records in both, so several \
                 groups, and --holdout between 0 and 1",
                records.len(),
                new_groups.len()
            )));
        }
        // what cannot be read there is written anew
        if !holds(location, &dataset, &places, context).unwrap_or(false) {
            write(&dataset, &places, location, context)?;
        }
        let file = location.clone();
        Ok(Pool { records, residues, cells, keys, new_groups, seen_groups, held_out, leaks, file })
    }
}

/// Of the tokens, so that spelling and case make no difference.
fn sequence_hash(record: &EncodedRecord) -> u64 {
    let bytes: Vec<u8> = record.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// The records at `places`, which are in input order.
fn records_at(dataset: &Dataset, places: &[(u32, u64)]) -> impl Iterator<Item = Result<Record>> {
    let mut wanted = places.iter().peekable();
    let records = dataset.records(None).filter(move |record| match record {
        Ok(record) => wanted.next_if(|place| **place == (record.source, record.position)).is_some(),
        Err(_) => true,
    });
    records.take(places.len())
}

/// Whether an earlier evaluation left the same file there. The scores that it left are of that file, and are used
/// again as long as it is not written anew.
fn holds(location: &Location, dataset: &Dataset, places: &[(u32, u64)], context: &Context) -> Result<bool> {
    if !context.storage.exists(location)? {
        return Ok(false);
    }
    let options = InputOptions { input_format: InputFormat::Fasta, ..InputOptions::default() };
    let there = Dataset::open(&context.storage, &[location.to_string()], &options)?;
    let mut there = there.records(None);
    for record in records_at(dataset, places) {
        context.cancel.check()?;
        match there.next().transpose()? {
            Some(other) if other.hash() == record?.hash() => {}
            _ => return Ok(false),
        }
    }
    Ok(there.next().is_none())
}

fn write(dataset: &Dataset, places: &[(u32, u64)], location: &Location, context: &Context) -> Result<()> {
    let mut writer = CoresetWriter::create(&context.storage, location)?;
    let mut written = 0;
    for record in records_at(dataset, places) {
        writer.write(&record?)?;
        written += 1;
    }
    if written < places.len() {
        return Err(Error::new(Code::SourceChanged, "the inputs changed while they were read"));
    }
    writer.finish().map(|_| ())
}

impl Pool {
    /// The places in the pool of the records of a coreset that is there already: a folder with a coreset in it, or
    /// sequence files. Also the number of its records that are held out, and so are left out of it.
    pub fn places(&self, coreset: &str, input: &InputOptions, context: &Context) -> Result<(Vec<u32>, u64)> {
        let folder: Location = coreset.parse()?;
        let inside = folder.join(CORESET);
        let file = if context.storage.exists(&inside)? { inside.to_string() } else { coreset.to_string() };
        let by_hash: HashMap<u64, u32> =
            (0..).zip(&self.records).map(|(place, record)| (record.hash, place)).collect();
        // a coreset is FASTA, whatever it was made from
        let input = InputOptions { input_format: InputFormat::Auto, ..input.clone() };
        let dataset = Dataset::open(&context.storage, &[file], &input)?;
        let (mut places, mut left_out) = (Vec::new(), 0);
        for record in dataset.records(None) {
            let record = record?;
            let hash = record.hash();
            match by_hash.get(&hash) {
                Some(place) => places.push(*place),
                None if self.held_out.contains(&hash) => left_out += 1,
                None => {
                    return Err(Error::bad_input(format!(
                        "{}: it is not a record of the inputs, which a coreset to evaluate is made from",
                        record.describe(&dataset)
                    )));
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Err(Error::bad_input(format!("{coreset}: none of its records is in the pool")));
        }
        Ok((places, left_out))
    }
}
