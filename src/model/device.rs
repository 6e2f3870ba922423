//! Where a model computes, and in what precision: the choice of a person, and what comes of it on this machine.

use crate::error::{Error, Result};
use crate::model::kernels::{self, PairUnit};
#[cfg(feature = "cuda")]
use crate::model::{Numbers, cuda};
use crate::string_serde;
use candle_core::DType;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A device as asked for: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that answers, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU of that number.
    Cuda(usize),
}

/// The precision of the encoder's weights and activations; head, sums and scores are in f32 and wider anywhere.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// bf16 on a GPU, f32 on the CPU
    #[default]
    Auto,
    /// 32 bits
    F32,
    /// bfloat16, on a GPU or on a CPU that has AMX or AVX512-BF16
    Bf16,
}

/// How many of a CPU thread's batches a GPU takes at once.
const GPU_BATCHES: usize = 8;

/// Where a model computes.
#[derive(Clone, Debug)]
pub enum Placement {
    /// The engine of `kernels`, in f32.
    Cpu,
    /// The same with weights in bf16, which a CPU with a unit for pairs of them (AMX, AVX512-BF16) multiplies faster.
    CpuBf16,
    /// The engine of `cuda`.
    #[cfg(feature = "cuda")]
    Cuda(cuda::CudaPlacement),
    /// The form that trains, on the CPU, in any precision: in tests f64 tells how far f32 is off.
    Candle(DType),
}

impl Placement {
    /// Settles the choices on this machine; the text says what was chosen and why. A GPU's batches have about eight times
    /// `batch_tokens`, which is for one of a CPU's threads.
    pub fn settle(
        device: DeviceChoice,
        precision: PrecisionChoice,
        batch_tokens: usize,
    ) -> Result<(Placement, String)> {
        let on_cpu = |why: &str| match precision {
            PrecisionChoice::Bf16 if kernels::pair_unit().is_some() => {
                Ok((Placement::CpuBf16, format!("on the CPU in bf16: {why}")))
            }
            PrecisionChoice::Bf16 => Err(Error::usage(format!(
                "precision bf16 is for GPUs and CPUs with AMX or AVX512-BF16, and this runs on a CPU without them ({why}); \
                 allowed there is f32"
            ))),
            _ => Ok((Placement::Cpu, format!("on the CPU in f32: {why}"))),
        };
        let in_precision = if precision == PrecisionChoice::F32 { "f32" } else { "bf16" };
        match device.settle(|number| gpu(number, precision, GPU_BATCHES * batch_tokens))? {
            (Some((placement, number)), why) => {
                Ok((placement, format!("on GPU {number} in {in_precision}: {why}")))
            }
            (None, why) => on_cpu(&why),
        }
    }

    pub fn is_gpu(&self) -> bool {
        !matches!(self, Placement::Cpu | Placement::CpuBf16 | Placement::Candle(_))
    }

    /// What scores of this placement must not be mixed with those of others under.
    pub fn engine(&self) -> &'static str {
        match self {
            Placement::Cpu => "cpu-f32",
            Placement::CpuBf16 => match kernels::pair_unit() {
                Some(PairUnit::Dot(_)) => "cpu-bf16-avx512",
                Some(PairUnit::Amx(_)) | None => "cpu-bf16",
            },
            #[cfg(feature = "cuda")]
            Placement::Cuda(placement) => match placement.numbers {
                Numbers::Bf16 => "cuda-bf16",
                Numbers::F32 => "cuda-f32",
            },
            Placement::Candle(_) => "candle",
        }
    }
}

impl DeviceChoice {
    /// Opens the GPU that was chosen, if one was or if one answers, and gives its number too; the text says why that one, or why
    /// the CPU.
    ///
    /// # Errors
    /// A GPU that was asked for and does not answer.
    pub fn settle<T>(
        self,
        open: impl Fn(usize) -> std::result::Result<T, String>,
    ) -> Result<(Option<(T, usize)>, String)> {
        match self {
            DeviceChoice::Cpu => Ok((None, "asked for".into())),
            DeviceChoice::Cuda(number) => match open(number) {
                Ok(gpu) => Ok((Some((gpu, number)), "asked for".into())),
                Err(why) => Err(Error::model(format!("device cuda:{number}: {why}"))),
            },
            DeviceChoice::Auto => Ok(match open(0) {
                Ok(gpu) => (Some((gpu, 0)), "it answers".into()),
                Err(why) => (None, why),
            }),
        }
    }
}

/// Why no GPU answers in a program that cannot ask one.
#[cfg(not(feature = "cuda"))]
pub const WITHOUT_CUDA: &str = "this program was built without the feature cuda";

/// The GPU of that number, or why there is none.
#[cfg(not(feature = "cuda"))]
fn gpu(_: usize, _: PrecisionChoice, _: usize) -> std::result::Result<Placement, String> {
    Err(WITHOUT_CUDA.into())
}

#[cfg(feature = "cuda")]
fn gpu(
    number: usize,
    precision: PrecisionChoice,
    batch_tokens: usize,
) -> std::result::Result<Placement, String> {
    let gpu = cuda::Gpu::open(number).map_err(|error| format!("no GPU answers ({error})"))?;
    let numbers = match precision {
        PrecisionChoice::F32 => Numbers::F32,
        _ => Numbers::Bf16,
    };
    Ok(Placement::Cuda(cuda::CudaPlacement { gpu: gpu.into(), numbers, batch_tokens }))
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse().ok().map(DeviceChoice::Cuda);
        match text {
            "auto" => Some(DeviceChoice::Auto),
            "cpu" => Some(DeviceChoice::Cpu),
            "cuda" => Some(DeviceChoice::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(number),
        }
        .ok_or_else(|| Error::usage(format!("device {text:?}: allowed are auto, cpu, cuda and cuda:N")))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

string_serde!(DeviceChoice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_what_they_print_and_refuse_the_rest() {
        for text in ["auto", "cpu", "cuda:0", "cuda:13"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }

    #[test]
    fn the_cpu_computes_in_f32_alone() {
        let (placement, told) = Placement::settle(DeviceChoice::Cpu, PrecisionChoice::Auto, 1).unwrap();
        assert_eq!(placement.engine(), "cpu-f32");
        assert!(told.contains("asked for"), "{told}");
        let placement = Placement::settle(DeviceChoice::Cpu, PrecisionChoice::Bf16, 1);
        match kernels::pair_unit() {
            Some(PairUnit::Amx(_)) => assert_eq!(placement.unwrap().0.engine(), "cpu-bf16"),
            Some(PairUnit::Dot(_)) => assert_eq!(placement.unwrap().0.engine(), "cpu-bf16-avx512"),
            None => assert!(placement.unwrap_err().message.contains("AMX")),
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_a_gpu_is_refused_and_auto_says_why_it_takes_the_cpu() {
        let error = Placement::settle(DeviceChoice::Cuda(0), PrecisionChoice::Auto, 1).unwrap_err();
        assert!(error.message.contains("feature cuda"), "{error}");
        let (_, told) = Placement::settle(DeviceChoice::Auto, PrecisionChoice::Auto, 1).unwrap();
        assert!(told.contains("CPU") && told.contains("feature cuda"), "{told}");
    }
}
