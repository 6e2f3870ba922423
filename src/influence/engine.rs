//! Where gradients are computed: on the CPU, by each worker, or in batches on a GPU that all workers share.

#[cfg(feature = "cuda")]
use super::cuda::{CudaAccumulator, CudaHead, CudaScorer};
use super::{Curvature, CurvatureSum, Estimator, Gradients, RecordGradient, Score, Scorer, accumulate_each};
use crate::batching::Example;
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::model::Model;

/// A model made ready to compute gradients.
pub struct Engine<'m> {
    model: &'m Model,
    #[cfg(feature = "cuda")]
    gpu: Option<CudaHead<'m>>,
}

/// One worker's part of a curvature.
pub struct Accumulator<'e> {
    pub sum: CurvatureSum,
    form: Accumulating<'e>,
}

enum Accumulating<'e> {
    Cpu(Box<Gradients<'e>>),
    #[cfg(feature = "cuda")]
    Gpu(CudaAccumulator<'e>),
}

/// One worker's way from records to scores.
pub enum RecordScorer<'e, 'c> {
    Cpu {
        gradients: Box<Gradients<'e>>,
        scorer: Scorer<'c>,
    },
    #[cfg(feature = "cuda")]
    Gpu(CudaScorer<'e>),
}

impl<'m> Engine<'m> {
    pub fn new(model: &'m Model) -> Result<Self> {
        Ok(Engine {
            model,
            #[cfg(feature = "cuda")]
            gpu: CudaHead::load(model)?,
        })
    }

    /// Work on a batch ends with an error soon after `cancel` is set.
    pub fn accumulator(&self, cancel: CancelToken) -> Result<Accumulator<'_>> {
        let sum = CurvatureSum::new(self.model.head.hidden_size);
        #[cfg(feature = "cuda")]
        if let Some(head) = &self.gpu {
            return Ok(Accumulator { sum, form: Accumulating::Gpu(CudaAccumulator::new(head, cancel)?) });
        }
        let gradients = Gradients::new(self.model).ended_by(cancel);
        Ok(Accumulator { sum, form: Accumulating::Cpu(gradients.into()) })
    }

    /// The same for scores.
    pub fn scorer<'c>(
        &self,
        curvature: &'c Curvature,
        estimator: Estimator,
        cancel: CancelToken,
    ) -> Result<RecordScorer<'_, 'c>> {
        #[cfg(feature = "cuda")]
        if let Some(head) = &self.gpu {
            return Ok(RecordScorer::Gpu(CudaScorer::new(head, curvature, estimator, cancel)?));
        }
        let gradients = Gradients::new(self.model).ended_by(cancel).into();
        Ok(RecordScorer::Cpu { gradients, scorer: Scorer::new(curvature, estimator) })
    }
}

impl Accumulator<'_> {
    /// Adds the gradients of `records`; on the CPU `each` is shown every one.
    pub fn run(&mut self, records: &[Example], each: impl FnMut(usize, &RecordGradient)) -> Result<()> {
        match &mut self.form {
            Accumulating::Cpu(gradients) => accumulate_each(gradients, records, &mut self.sum, each),
            #[cfg(feature = "cuda")]
            Accumulating::Gpu(accumulator) => accumulator.run(records, &mut self.sum),
        }
    }
}

impl RecordScorer<'_, '_> {
    /// Hands `each` the score of every record, in the order given.
    pub fn run(&mut self, records: &[Example], mut each: impl FnMut(usize, Score)) -> Result<()> {
        match self {
            RecordScorer::Cpu { gradients, scorer } => {
                gradients.run(records, |index, gradient| each(index, scorer.score(&gradient)))
            }
            #[cfg(feature = "cuda")]
            RecordScorer::Gpu(scorer) => scorer.run(records, each),
        }
    }

    /// The score of a gradient that is there already; a GPU computes it again.
    pub fn of_gradient(&mut self, gradient: &RecordGradient) -> Option<Score> {
        match self {
            RecordScorer::Cpu { scorer, .. } => Some(scorer.score(gradient)),
            #[cfg(feature = "cuda")]
            RecordScorer::Gpu(_) => None,
        }
    }
}
