# The images with CUDA as far as they go without a card, without a gigabyte of NVIDIA's and without the compile: wheels of
# the same names and versions, with next to nothing in them, stand for NVIDIA's. Sourced by run.sh.
# shellcheck shell=bash

wheels() {
  local library folder=$work/cuda
  mkdir -p "$folder/lib" "$folder/include" "$work/wheels"
  echo 'int cuInit(unsigned flags); int cuDeviceGetCount_v2(int *count);' > "$folder/include/cuda.h"
  for library in cublas.so.13 cublasLt.so.13 curand.so.10; do
    echo 'int nothing;' | cc -shared -x c -Wl,-soname,lib$library -o "$folder/lib/lib$library" -
  done
  python3 - "$root/containers/cuda/toolkit.sh" "$folder" "$work/wheels" << 'PYTHON'
import pathlib, re, sys, zipfile
script, files, target = map(pathlib.Path, sys.argv[1:])
for name, version in re.findall(r"\b(nvidia-[a-z-]+)==([0-9.]+)", script.read_text()):
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(target / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
        for file in files.rglob("*") if name == "nvidia-cuda-runtime" else []:
            wheel.write(file, f"nvidia/cu13/{file.relative_to(files)}")
PYTHON
  ls "$work/wheels"
}

cuda_images_are_built() {
  wheels
  "$root/containers/build.sh" --cuda --program "$program" "${build_options[@]}" --volume "$work/wheels:/wheels:ro" \
    --build-arg PIP_OPTIONS='--no-index --find-links /wheels'
  in_step "bioprune/bioprune-cuda:$version" ldconfig -p | grep -F libcublasLt.so.13
  podman image inspect --format '{{.Config.Env}}' "bioprune/bioprune-cuda:$version" | grep -F NVIDIA_VISIBLE_DEVICES=all
  in_step "bioprune/bioprune-cuda:$version" bioprune prune set.fa "${job[@]}" -o step-cuda
  same_coreset "$work/step-cuda"
  test "$(podman image inspect --format '{{.Config.User}}' "bioprune/service-cuda:$version")" = 65532:65532
}

# Without the driver each of its functions tells that there is no device, and with it they are called.
driver_is_found_at_start() {
  cd "$work/cuda"
  PATH=$tools/manifests/bin:$PATH "$root/containers/cuda/toolkit.sh" "$PWD/toolkit" --no-index --find-links "$work/wheels"
  cat > call.c << 'C'
#include <cuda.h>
#include <stdio.h>
int main(void) {
    int count = -1, status = cuInit(7);
    return printf("%d %d ", status, cuDeviceGetCount_v2(&count)), printf("%d\n", count), 0;
}
C
  cc -I toolkit/include -o call call.c -L toolkit/lib64 -lcuda
  test "$(./call)" = '100 100 -1'
  echo 'int cuInit(unsigned flags) { return flags; } int cuDeviceGetCount_v2(int *count) { *count = 2; return 0; }' |
    cc -shared -fPIC -x c -o libcuda.so.1 -
  test "$(LD_LIBRARY_PATH=. ./call)" = '7 0 2'
}

# Kernels that nothing calls are left out, and all else is nvcc's.
nvcc_leaves_out_what_nothing_calls() {
  mkdir -p "$work/nvcc/bin"
  cd "$work/nvcc"
  printf '#!/bin/sh\necho nvcc "$@"\n' > bin/nvcc
  chmod +x bin/nvcc
  export CUDA_HOME=$PWD
  "$root/containers/cuda/nvcc" --generate-code=arch=compute_80 -c -o out.o -O3 src/mmq_gguf/mmq_instance_q4_0.cu > told
  test ! -s told
  test -z "$(nm out.o)"
  test "$("$root/containers/cuda/nvcc" --ptx -O3 src/reduce.cu)" = 'nvcc --ptx -O3 src/reduce.cu'
}

check 'cuda: both images are built on its libraries, and compute on the CPU' cuda_images_are_built
check 'cuda: a program starts without the driver, and calls it where there is one' driver_is_found_at_start
check 'cuda: kernels that nothing calls are not compiled' nvcc_leaves_out_what_nothing_calls
