//! Compiles the GPU kernels where the feature `cuda` asks for them.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let nvcc =
        std::env::var_os("NVCC").map(PathBuf::from).unwrap_or_else(|| match std::env::var_os("CUDA_HOME") {
            Some(home) => PathBuf::from(home).join("bin/nvcc"),
            None => PathBuf::from("nvcc"),
        });
    // machine code for that kind of card, and text from which the driver of a later one compiles its own
    let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    let code = format!("arch=compute_{capability},code=[sm_{capability},compute_{capability}]");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder"));
    println!("cargo::rerun-if-changed=src/model/cuda/common.cuh");
    let text = format!("arch=compute_{capability},code=compute_{capability}");
    for (source, form, code, output) in [
        ("src/model/cuda/kernels.cu", "-fatbin", &code, "model.fatbin"),
        ("src/model/cuda/trial.cu", "-fatbin", &code, "trial.fatbin"),
        ("src/influence/cuda/kernels.cu", "-fatbin", &code, "influence.fatbin"),
        // candle loads text alone
        ("src/model/tensor/gpu/kernels.cu", "-ptx", &text, "tensor.ptx"),
    ] {
        println!("cargo::rerun-if-changed={source}");
        let mut command = Command::new(&nvcc);
        command.args([form, "-O3", "-gencode", code, "-o"]).arg(folder.join(output));
        let status = command.arg(source).status();
        match status {
            Ok(status) if status.success() => (),
            other => panic!("{} does not compile {source}: {other:?}", nvcc.display()),
        }
    }
}
