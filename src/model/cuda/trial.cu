// What a trial of algorithms needs: numbers to multiply, and whether two results are the same bits.

#include <cuda_bf16.h>

// Numbers from -1/2 to 1/2 that follow from their places and the seed.
template <class T>
__device__ __forceinline__ void noise(T* values, size_t count, unsigned seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count; i += (size_t)gridDim.x * blockDim.x) {
        // the finalizer of MurmurHash3
        unsigned x = (unsigned)i * 2654435761u + seed;
        x = (x ^ (x >> 16)) * 0x85ebca6bu;
        x = (x ^ (x >> 13)) * 0xc2b2ae35u;
        values[i] = T((x ^ (x >> 16)) * 0x1p-32f - 0.5f);
    }
}

extern "C" __global__ void noise_bf16(__nv_bfloat16* values, size_t count, unsigned seed) { noise(values, count, seed); }
extern "C" __global__ void noise_float(float* values, size_t count, unsigned seed) { noise(values, count, seed); }

// Sets `differ` where any of the words does.
extern "C" __global__ void compare(const unsigned* one, const unsigned* other, size_t words, unsigned* differ) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < words; i += (size_t)gridDim.x * blockDim.x)
        if (one[i] != other[i]) *differ = 1;
}
