#!/usr/bin/env bash
# CUDA 13.0 out of NVIDIA's Python wheels, in a folder that is not there yet: compiler, headers, libraries, and for that of
# the driver, which no wheel has, what driver.c makes. Needs a C compiler, and Python with pip.
#
#   containers/cuda/toolkit.sh FOLDER [OPTION of `pip install`]...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip install "$@" --quiet --no-cache-dir --no-deps --target "$work/wheels" \
  nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
  nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3 nvidia-curand==10.4.0.35
mkdir -p "$(dirname "$folder")"
mv -T "$work/wheels/nvidia/cu13" "$folder"

# the names that linkers and build scripts look for
ln -s lib "$folder/lib64"
for library in "$folder"/lib/*.so.*; do ln -s "${library##*/}" "${library%.so.*}.so"; done

echo '#include <cuda.h>' | cc -E -I "$folder/include" - | grep -oE '\bcu[A-Z][A-Za-z0-9_]*\(' | sort -u |
  sed 's/\(.*\)(/FUNCTION(\1)/' > "$work/functions.h"
cc -O2 -fPIC -Wall -Werror -c -I "$work" -o "$work/driver.o" "$here/driver.c"
ar rcs "$folder/lib/libcuda.a" "$work/driver.o"
