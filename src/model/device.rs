//! Where a model computes, and in what precision: the choice of a person, and what comes of it on this machine.

use crate::error::{Error, Result};
use crate::string_serde;
use candle_core::{DType, Device};
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
    /// bfloat16, on a GPU
    Bf16,
}

/// Where a model computes.
#[derive(Clone, Debug)]
pub enum Placement {
    /// The engine of `kernels`, in f32.
    Cpu,
    /// candle's operations on a device: a GPU, or in tests the CPU, where f64 tells how far f32 is off.
    Candle { device: Device, dtype: DType },
}

impl Placement {
    /// Settles the choices on this machine; the text says what was chosen and why.
    pub fn settle(device: DeviceChoice, precision: PrecisionChoice) -> Result<(Placement, String)> {
        let on_cpu = |why: &str| match precision {
            PrecisionChoice::Bf16 => Err(Error::usage(format!(
                "precision bf16 is for GPUs, and this runs on the CPU ({why}); allowed there is f32"
            ))),
            _ => Ok((Placement::Cpu, format!("on the CPU in f32: {why}"))),
        };
        let on_gpu = |device: Device, number: usize, why: &str| {
            let (dtype, name) = match precision {
                PrecisionChoice::F32 => (DType::F32, "f32"),
                _ => (DType::BF16, "bf16"),
            };
            (Placement::Candle { device, dtype }, format!("on GPU {number} in {name}: {why}"))
        };
        match device {
            DeviceChoice::Cpu => on_cpu("asked for"),
            DeviceChoice::Cuda(number) => {
                let device =
                    gpu(number).map_err(|why| Error::model(format!("device cuda:{number}: {why}")))?;
                Ok(on_gpu(device, number, "asked for"))
            }
            DeviceChoice::Auto => match gpu(0) {
                Ok(device) => Ok(on_gpu(device, 0, "it answers")),
                Err(why) => on_cpu(&why),
            },
        }
    }

    /// What scores of this placement must not be mixed with those of others under.
    pub fn engine(&self) -> &'static str {
        match self {
            Placement::Cpu => "cpu-f32",
            Placement::Candle { dtype: DType::BF16, .. } => "cuda-bf16",
            Placement::Candle { .. } => "cuda-f32",
        }
    }
}

/// The GPU of that number, or why there is none.
fn gpu(number: usize) -> std::result::Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("this program was built without the feature cuda".into());
    }
    Device::new_cuda(number).map_err(|error| {
        // a backtrace follows it, where one is asked for
        format!("no GPU answers ({})", error.to_string().lines().next().unwrap_or_default())
    })
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
        let (placement, told) = Placement::settle(DeviceChoice::Cpu, PrecisionChoice::Auto).unwrap();
        assert_eq!(placement.engine(), "cpu-f32");
        assert!(told.contains("asked for"), "{told}");
        assert!(Placement::settle(DeviceChoice::Cpu, PrecisionChoice::Bf16).is_err());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_a_gpu_is_refused_and_auto_says_why_it_takes_the_cpu() {
        let error = Placement::settle(DeviceChoice::Cuda(0), PrecisionChoice::Auto).unwrap_err();
        assert!(error.message.contains("feature cuda"), "{error}");
        let (_, told) = Placement::settle(DeviceChoice::Auto, PrecisionChoice::Auto).unwrap();
        assert!(told.contains("CPU") && told.contains("feature cuda"), "{told}");
    }
}
