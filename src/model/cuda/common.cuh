// What the kernels of the encoder and of the gradients share.

#pragma once

__device__ __forceinline__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

// The same bits in every lane.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(~0u, v, step);
    return v;
}

// The row of a kernel that gives one to each warp.
__device__ __forceinline__ int row_of_warp() { return blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); }

// Exact (erf) GELU.
__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
