//! The trainings: which there are, what an earlier evaluation left of them, and several side by side.

use super::super::Context;
use super::pool::Pool;
use super::request::TrainerOptions;
use super::start::Start;
use crate::error::{Code, Error, Result};
use crate::evaluation::GroupLosses;
use crate::storage::{Location, io_error};
use crate::train::{EncodedRecord, Observer, Progress, Trainer, TrainingDevice, record_losses};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Held-out records that a learning curve is measured on; at the end all are.
const MEASURED_ON_THE_WAY: usize = 400;

/// One training that is to be: a condition under a seed.
pub(super) struct Planned {
    /// The condition's place in the list
    pub condition: usize,
    pub name: String,
    pub seed: u64,
    /// Places in the pool
    pub records: Vec<u32>,
}

/// One training that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trained {
    pub seed: u64,
    pub records: u64,
    pub residues: u64,
    /// Tokens computed in all steps
    pub tokens: u64,
    pub seconds: f64,
    /// Loss on some held-out records of new groups, mean over groups, after so many tokens
    pub curve: Vec<(u64, f64)>,
    pub new_groups: GroupLosses,
    pub seen_groups: GroupLosses,
}

/// What all trainings have in common.
pub(super) struct Runs<'a> {
    pub pool: &'a Pool,
    pub trainer: &'a TrainerOptions,
    pub start: &'a Start,
    pub output: &'a Location,
    pub device: &'a TrainingDevice,
    pub context: &'a Context,
}

impl Runs<'_> {
    /// Trains what no earlier evaluation has, as many at a time as is best there, and conditions of the same records once;
    /// tells of each that is done. The results are in the order of `planned`.
    pub fn all(
        &self,
        planned: &[Planned],
        mut done: impl FnMut(&Planned, &Trained, bool, usize),
    ) -> Result<Vec<Trained>> {
        let locations: Vec<Location> = planned.iter().map(|one| self.location(one)).collect();
        let mut trained: Vec<Option<Trained>> = Vec::with_capacity(planned.len());
        for location in &locations {
            trained.push(self.left_by_earlier_run(location)?);
        }
        let mut known = HashSet::new();
        let mut to_do: Vec<usize> =
            (0..planned.len()).filter(|&i| trained[i].is_none() && known.insert(&locations[i])).collect();
        let mut finished = 0;
        for (one, earlier) in planned.iter().zip(&trained) {
            if let Some(earlier) = earlier {
                finished += 1;
                done(one, earlier, true, finished);
            }
        }
        let devices = self.device.split(to_do.len())?;
        to_do.reverse();
        let to_do = Mutex::new(to_do);
        let (sender, results) = channel();
        std::thread::scope(|scope| {
            for device in &devices {
                let (sender, to_do) = (sender.clone(), &to_do);
                scope.spawn(move || {
                    loop {
                        let next = to_do.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
                        let Some(place) = next else { return };
                        let result = self.train(&planned[place], device);
                        let failed = result.is_err();
                        if sender.send((place, result)).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (place, result) in results {
                let result =
                    result.and_then(|one: Trained| self.keep(&locations[place], &one)).inspect_err(|_| {
                        // what has begun goes on to its end or sees the cancellation; nothing new begins
                        to_do.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
                    })?;
                for same in (place..planned.len()).filter(|&i| locations[i] == locations[place]) {
                    finished += 1;
                    done(&planned[same], &result, false, finished);
                    trained[same] = Some(result.clone());
                }
            }
            Ok::<_, Error>(())
        })?;
        trained
            .into_iter()
            .map(|one| one.ok_or_else(|| Error::internal("a training gave no result")))
            .collect()
    }

    fn train(&self, planned: &Planned, device: &TrainingDevice) -> Result<Trained> {
        let began = Instant::now();
        let pool = self.pool;
        let records: Vec<EncodedRecord> =
            planned.records.iter().map(|&place| pool.records[place as usize].clone()).collect();
        let mut measured: Vec<&EncodedRecord> = pool.new_groups.iter().collect();
        measured.sort_by_key(|record| record.hash);
        let measured: Vec<EncodedRecord> = measured.into_iter().take(MEASURED_ON_THE_WAY).cloned().collect();
        let options = self.trainer.options(planned.seed)?;
        let start = self.start.model(self.trainer, planned.seed)?;
        let tokenizer = &self.start.tokenizer;
        let mut curve = Curve { context: self.context, points: Vec::new(), tokens: 0 };
        let model = Trainer::new(options, tokenizer, &records, &measured)?.fit(start, device, &mut curve)?;
        let losses = |records: &[EncodedRecord]| {
            record_losses(&model, tokenizer, records, device).map(|losses| GroupLosses::of(&losses))
        };
        Ok(Trained {
            seed: planned.seed,
            records: records.len() as u64,
            residues: planned.records.iter().map(|&place| u64::from(pool.residues[place as usize])).sum(),
            tokens: curve.tokens,
            seconds: began.elapsed().as_secs_f64(),
            curve: curve.points,
            new_groups: losses(&pool.new_groups)?,
            seen_groups: losses(&pool.seen_groups)?,
        })
    }

    /// The file of a training, named by all that its outcome depends on: the program, the trainer, the kind of device, what it
    /// starts from, the records and the seed. So a later evaluation finds it for a condition of the same records, whatever that is called.
    fn location(&self, planned: &Planned) -> Location {
        let hash = |hashes: &mut dyn Iterator<Item = u64>| {
            let bytes: Vec<u8> = hashes.flat_map(u64::to_le_bytes).collect();
            xxh3_64(&bytes)
        };
        let training = hash(&mut planned.records.iter().map(|&place| self.pool.records[place as usize].hash));
        let held_out = self.pool.new_groups.iter().chain(&self.pool.seen_groups);
        let held_out = hash(&mut held_out.flat_map(|record| [record.hash, u64::from(record.group)]));
        let trainer = serde_json::to_string(self.trainer).unwrap_or_default();
        let (version, start) = (env!("CARGO_PKG_VERSION"), self.start.digest().unwrap_or_default());
        let (device, seed) = (self.device.kind(), planned.seed);
        let all = format!("{version} {trainer} {device} {start} {training:x} {held_out:x} {seed}");
        self.output.join("runs").join(&format!("{:016x}.json", xxh3_64(all.as_bytes())))
    }

    fn left_by_earlier_run(&self, location: &Location) -> Result<Option<Trained>> {
        let info = match self.context.storage.stat(location) {
            Ok(info) => info,
            Err(error) if error.code == Code::InputNotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        self.context
            .storage
            .open(&info)?
            .read_to_end(&mut text)
            .map_err(|error| io_error(location, error))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    fn keep(&self, location: &Location, trained: &Trained) -> Result<Trained> {
        let text = serde_json::to_vec(trained)
            .map_err(|error| Error::internal("cannot write a training's result as JSON").caused_by(error))?;
        let mut writer = self.context.storage.create(location)?;
        writer.write_all(&text).map_err(|error| io_error(location, error))?;
        writer.commit()?;
        // as the next evaluation reads it: a number's last digit may be lost in text
        serde_json::from_slice(&text)
            .map_err(|error| Error::internal("cannot read a training's own result").caused_by(error))
    }
}

/// Notes the held-out loss as the training goes, and ends it once the job is canceled.
struct Curve<'a> {
    context: &'a Context,
    points: Vec<(u64, f64)>,
    tokens: u64,
}

impl Observer for Curve<'_> {
    fn check(&self) -> Result<()> {
        self.context.cancel.check()
    }

    fn progress(&mut self, progress: &Progress) {
        self.tokens = progress.tokens;
        self.points.extend(progress.held_out.map(|loss| (progress.tokens, loss.by_group)));
    }
}
