// What the form that trains computes between its products on a GPU, and the backward pass of it, in f32.
//
// Sums are added in an order that the shapes alone decide: the same inputs give the same bits.

#include "../../cuda/common.cuh"

__device__ __forceinline__ int warps() { return gridDim.x * (blockDim.x >> 5); }

// Mean of a row, and one over its standard deviation.
__device__ __forceinline__ float2 moments(const float* x, int d, float epsilon) {
    const int lane = threadIdx.x & 31;
    float sum = 0;
    for (int i = lane; i < d; i += 32) sum += x[i];
    const float mean = warp_sum(sum) / d;
    sum = 0;
    for (int i = lane; i < d; i += 32) sum += (x[i] - mean) * (x[i] - mean);
    return make_float2(mean, 1.0f / sqrtf(warp_sum(sum) / d + epsilon));
}

extern "C" __global__ void layer_norm(const float* x, const float* weight, const float* bias, float* y, int rows,
                                      int d, float epsilon) {
    const int row = row_of_warp();
    if (row >= rows) return;
    x += (size_t)row * d;
    y += (size_t)row * d;
    const float2 of = moments(x, d, epsilon);
    for (int i = threadIdx.x & 31; i < d; i += 32) y[i] = (x[i] - of.x) * of.y * weight[i] + bias[i];
}

// The slopes of x, and each warp's part of those of weight and bias, [warps, 2, d]. Each warp keeps its part in shared
// memory.
extern "C" __global__ void layer_norm_back(const float* x, const float* weight, const float* grad, float* dx,
                                           float* of_both, int rows, int d, float epsilon) {
    extern __shared__ float parts[];
    const int lane = threadIdx.x & 31;
    float* part = parts + (threadIdx.x >> 5) * 2 * d;
    for (int i = lane; i < 2 * d; i += 32) part[i] = 0;
    for (int row = row_of_warp(); row < rows; row += warps()) {
        const size_t start = (size_t)row * d;
        const float2 of = moments(x + start, d, epsilon);
        float mean = 0, slope = 0;
        for (int i = lane; i < d; i += 32) {
            const float dy = grad[start + i], normal = (x[start + i] - of.x) * of.y;
            part[i] += dy * normal;
            part[d + i] += dy;
            mean += dy * weight[i];
            slope += dy * weight[i] * normal;
        }
        mean = warp_sum(mean) / d;
        slope = warp_sum(slope) / d;
        for (int i = lane; i < d; i += 32) {
            const float normal = (x[start + i] - of.x) * of.y;
            dx[start + i] = of.y * (grad[start + i] * weight[i] - mean - normal * slope);
        }
    }
    of_both += (size_t)row_of_warp() * 2 * d;
    for (int i = lane; i < 2 * d; i += 32) of_both[i] = part[i];
}

extern "C" __global__ void gelu_forward(const float* x, float* y, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = gelu(x[i]);
}

extern "C" __global__ void gelu_back(const float* x, const float* grad, float* dx, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float v = x[i], density = 0.39894228040143268f * expf(-0.5f * v * v);
    dx[i] = grad[i] * (0.5f * (1.0f + erff(v * 0.70710678118654752f)) + v * density);
}

extern "C" __global__ void add_bias(const float* x, const float* bias, float* y, int count, int width) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = x[i] + bias[i % width];
}

// Each pair of a head's halves turned by the angle of its row's position, or back where `sign` is -1: cosines and sines
// [positions, half] of rows [rows, d].
extern "C" __global__ void turn(const float* x, const unsigned* positions, const float* cosines, const float* sines,
                                float* y, int pairs, int d, int half, float sign) {
    const int pair = blockIdx.x * blockDim.x + threadIdx.x;
    if (pair >= pairs) return;
    const int row = pair / (d / 2), within = pair % (d / 2);
    const size_t low = (size_t)row * d + within / half * 2 * half + within % half;
    const size_t angle = (size_t)positions[row] * half + within % half;
    const float c = cosines[angle], s = sign * sines[angle], a = x[low], b = x[low + half];
    y[low] = a * c - b * s;
    y[low + half] = b * c + a * s;
}

// ---- attention of each sequence to itself: a block of threads for so many rows of one head, a row to each ------------

#define ROWS 64
// Rows of the other side that are in shared memory at a time.
#define TILE 32

// A sequence's first row and its tokens, and the first of them that a block is for.
struct Work {
    unsigned start, tokens, first;
};

// Rows of one head, filled up with zeros to WIDTH values and beyond the sequence.
template <int WIDTH>
__device__ __forceinline__ void load_tile(float (&tile)[TILE][WIDTH], const float* head, int first, int tokens, int d,
                                          int width, float scale) {
    for (int i = threadIdx.x; i < TILE * WIDTH; i += ROWS) {
        const int row = i / WIDTH, c = i % WIDTH;
        const bool there = first + row < tokens && c < width;
        tile[row][c] = there ? scale * head[(size_t)(first + row) * d + c] : 0;
    }
}

template <int WIDTH>
__device__ __forceinline__ void load_row(float (&row)[WIDTH], const float* head, int at, int tokens, int d, int width,
                                         float scale) {
#pragma unroll
    for (int c = 0; c < WIDTH; c++) row[c] = at < tokens && c < width ? scale * head[(size_t)at * d + c] : 0;
}

template <int WIDTH>
__device__ __forceinline__ void store_row(const float (&row)[WIDTH], float* head, int at, int tokens, int d, int width,
                                          float scale) {
#pragma unroll
    for (int c = 0; c < WIDTH; c++)
        if (at < tokens && c < width) head[(size_t)at * d + c] = scale * row[c];
}

template <int WIDTH>
__device__ __forceinline__ float dot(const float (&a)[WIDTH], const float (&b)[WIDTH]) {
    float sums[4] = {};
#pragma unroll
    for (int c = 0; c < WIDTH; c++) sums[c % 4] = fmaf(a[c], b[c], sums[c % 4]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <int WIDTH>
__device__ __forceinline__ void add(float (&to)[WIDTH], float factor, const float (&row)[WIDTH]) {
#pragma unroll
    for (int c = 0; c < WIDTH; c++) to[c] = fmaf(factor, row[c], to[c]);
}

// out [rows, d], and of each row and head the logarithm to base 2 of the sum that its weights are divided by, [rows, heads].
template <int WIDTH>
__device__ __forceinline__ void attention_forward(const float* q, const float* k, const float* v, const Work* work,
                                                  float* out, float* norms, int d, int width, float scale) {
    __shared__ __align__(16) float keys[TILE][WIDTH], values[TILE][WIDTH];
    const Work w = work[blockIdx.x];
    const int at = w.first + threadIdx.x, tokens = w.tokens, head = blockIdx.y, heads = gridDim.y;
    const size_t offset = (size_t)w.start * d + head * width;
    float query[WIDTH], sums[WIDTH] = {};
    load_row(query, q + offset, at, tokens, d, width, scale);
    float most = -INFINITY, sum = 0;
    for (int first = 0; first < tokens; first += TILE) {
        __syncthreads();
        load_tile(keys, k + offset, first, tokens, d, width, 1);
        load_tile(values, v + offset, first, tokens, d, width, 1);
        __syncthreads();
        // several at a time, so that sums are seldom brought to another scale
        for (int begin = 0; begin < min(TILE, tokens - first); begin += 8) {
            float logits[8], largest = most;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                logits[i] = first + begin + i < tokens ? dot(query, keys[begin + i]) : -INFINITY;
                largest = fmaxf(largest, logits[i]);
            }
            const float shrink = exp2f(most - largest);
            most = largest;
            sum *= shrink;
#pragma unroll
            for (int c = 0; c < WIDTH; c++) sums[c] *= shrink;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float weight = exp2f(logits[i] - most);
                sum += weight;
                add(sums, weight, values[begin + i]);
            }
        }
    }
    store_row(sums, out + offset, at, tokens, d, width, 1 / sum);
    if (at < tokens) norms[(size_t)(w.start + at) * heads + head] = most + log2f(sum);
}

// The slopes of the queries, and of each row and head the mean slope of its logits, weighted, [rows, heads].
template <int WIDTH>
__device__ __forceinline__ void attention_back_queries(const float* q, const float* k, const float* v, const Work* work,
                                                       const float* out, const float* norms, const float* grad,
                                                       float* dq, float* means, int d, int width, float scale,
                                                       float natural) {
    __shared__ __align__(16) float keys[TILE][WIDTH], values[TILE][WIDTH];
    const Work w = work[blockIdx.x];
    const int at = w.first + threadIdx.x, tokens = w.tokens, head = blockIdx.y, heads = gridDim.y;
    const size_t offset = (size_t)w.start * d + head * width, place = (size_t)(w.start + at) * heads + head;
    float query[WIDTH], slope[WIDTH], sums[WIDTH] = {};
    load_row(sums, out + offset, at, tokens, d, width, 1);
    load_row(slope, grad + offset, at, tokens, d, width, 1);
    const float mean = dot(sums, slope), norm = at < tokens ? norms[place] : 0;
    if (at < tokens) means[place] = mean;
    load_row(query, q + offset, at, tokens, d, width, scale);
#pragma unroll
    for (int c = 0; c < WIDTH; c++) sums[c] = 0;
    for (int first = 0; first < tokens; first += TILE) {
        __syncthreads();
        load_tile(keys, k + offset, first, tokens, d, width, 1);
        load_tile(values, v + offset, first, tokens, d, width, 1);
        __syncthreads();
        const int there = min(TILE, tokens - first);
#pragma unroll 2
        for (int i = 0; i < there; i++) {
            const float weight = exp2f(dot(query, keys[i]) - norm);
            add(sums, weight * (dot(slope, values[i]) - mean), keys[i]);
        }
    }
    store_row(sums, dq + offset, at, tokens, d, width, natural);
}

// The slopes of the keys and the values.
template <int WIDTH>
__device__ __forceinline__ void attention_back_keys(const float* q, const float* k, const float* v, const Work* work,
                                                    const float* norms, const float* means, const float* grad,
                                                    float* dk, float* dv, int d, int width, float scale,
                                                    float natural) {
    __shared__ __align__(16) float queries[TILE][WIDTH], slopes[TILE][WIDTH];
    __shared__ float of_rows[2][TILE];
    const Work w = work[blockIdx.x];
    const int at = w.first + threadIdx.x, tokens = w.tokens, head = blockIdx.y, heads = gridDim.y;
    const size_t offset = (size_t)w.start * d + head * width;
    float key[WIDTH], value[WIDTH], of_key[WIDTH] = {}, of_value[WIDTH] = {};
    load_row(key, k + offset, at, tokens, d, width, scale);
    load_row(value, v + offset, at, tokens, d, width, 1);
    for (int first = 0; first < tokens; first += TILE) {
        __syncthreads();
        load_tile(queries, q + offset, first, tokens, d, width, 1);
        load_tile(slopes, grad + offset, first, tokens, d, width, 1);
        const int i = threadIdx.x % TILE;
        const float* of_row = threadIdx.x < TILE ? norms : means;
        if (first + i < tokens) of_rows[threadIdx.x / TILE][i] = of_row[(size_t)(w.start + first + i) * heads + head];
        __syncthreads();
        const int there = min(TILE, tokens - first);
#pragma unroll 2
        for (int i = 0; i < there; i++) {
            const float weight = exp2f(dot(key, queries[i]) - of_rows[0][i]);
            add(of_value, weight, slopes[i]);
            add(of_key, weight * (dot(value, slopes[i]) - of_rows[1][i]), queries[i]);
        }
    }
    store_row(of_key, dk + offset, at, tokens, d, width, natural);
    store_row(of_value, dv + offset, at, tokens, d, width, 1);
}

// `scale` is that of the logits times the logarithm of e to base 2, `natural` that of the logits alone.
#define HEADS(WIDTH)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(ROWS)                                                                 \
        attention_forward_##WIDTH(const float* q, const float* k, const float* v, const Work* work, float* out,        \
                                  float* norms, int d, int width, float scale) {                                       \
        attention_forward<WIDTH>(q, k, v, work, out, norms, d, width, scale);                                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(ROWS)                                                                 \
        attention_back_queries_##WIDTH(const float* q, const float* k, const float* v, const Work* work,               \
                                       const float* out, const float* norms, const float* grad, float* dq,             \
                                       float* means, int d, int width, float scale, float natural) {                   \
        attention_back_queries<WIDTH>(q, k, v, work, out, norms, grad, dq, means, d, width, scale, natural);           \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(ROWS)                                                                 \
        attention_back_keys_##WIDTH(const float* q, const float* k, const float* v, const Work* work,                  \
                                    const float* norms, const float* means, const float* grad, float* dk, float* dv,   \
                                    int d, int width, float scale, float natural) {                                    \
        attention_back_keys<WIDTH>(q, k, v, work, norms, means, grad, dk, dv, d, width, scale, natural);               \
    }
HEADS(16)
HEADS(32)
HEADS(64)
HEADS(128)
