//! How fast a model is on this machine.

use super::session::threads;
use crate::batching::Example;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::influence::{Engine, Objective, Task};
use crate::model::Model;
use crate::tokenizer::Alphabet;
use serde::Serialize;
use std::thread;
use std::time::{Duration, Instant};

/// How long is measured, at least.
const TIME: Duration = Duration::from_secs(2);
/// Residues of a record: what databases of RNA and protein hold on average lies around it.
const LENGTH: usize = 200;
/// Records that go through the encoder together.
const BATCH: usize = 8;

/// Speed of gradients, which is all but all of the work of curvature and scores.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speed {
    /// Tokens through the encoder in a second; a record goes through once for each mask pass
    pub tokens_per_second: u64,
    pub threads: usize,
}

/// Computes gradients of made-up records on all threads for some seconds.
pub fn measure(model: &Model) -> Result<Speed> {
    let threads = threads(0);
    let records = records(model)?;
    let engine = Engine::new(model)?;
    let start = Instant::now();
    let work = || -> Result<u64> {
        let mut accumulator = engine.accumulator(CancelToken::default())?;
        let mut tokens = 0;
        while start.elapsed() < TIME {
            accumulator.run(&records, |_, _| ())?;
            tokens += records.iter().map(|record| record.tokens() as u64).sum::<u64>();
        }
        Ok(tokens)
    };
    let tokens = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| Error::internal("a computing thread panicked"))?);
        joined.sum::<Result<u64>>()
    })?;
    let tokens_per_second = (tokens as f64 / start.elapsed().as_secs_f64()) as u64;
    Ok(Speed { tokens_per_second, threads })
}

fn records(model: &Model) -> Result<Vec<Example>> {
    let letters: &[u8] = match model.tokenizer.alphabet {
        Alphabet::Nucleotides => b"GGCAUCUA",
        Alphabet::AminoAcids => b"LAGVSERTIDPKQNFYMHWC",
    };
    let task = Task { objective: Objective::MaskedLm, mask_passes: 1, seed: 0 };
    let record = |shift: usize| {
        let sequence: Vec<u8> = letters.iter().cycle().skip(shift).step_by(3).take(LENGTH).copied().collect();
        let tokens = model.tokenizer.encode(&sequence, model.info.max_tokens as usize);
        let tokens = tokens.map_err(|illegal| Error::internal(format!("no test record: {illegal:?}")))?;
        Ok(task.example(tokens.ids, &model.tokenizer))
    };
    (0..BATCH).map(record).collect()
}
