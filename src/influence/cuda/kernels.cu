// The head, the gradients of its dense weight and what is made of them, on a GPU, in f32 and wider.
//
// A row's and a record's numbers depend on them alone: none changes with what is computed beside them.

#include "../../model/cuda/common.cuh"

#define TILE 64
#define STEPS 16

__device__ __forceinline__ float gelu_derivative(float x) {
    const float below = 0.5f * (1.0f + erff(x * 0.70710678118654752f));
    return below + x * expf(-0.5f * x * x) * 0.3989422804014327f;
}

// Mean and 1/sqrt(variance + epsilon) of f(x) over a row, by one warp.
template <class F>
__device__ __forceinline__ float2 moments(const float* row, int d, float epsilon, F f) {
    const int lane = threadIdx.x & 31;
    float sum = 0;
    for (int c = lane; c < d; c += 32) sum += f(row[c]);
    const float mean = warp_sum(sum) / d;
    sum = 0;
    for (int c = lane; c < d; c += 32) {
        const float x = f(row[c]) - mean;
        sum += x * x;
    }
    return make_float2(mean, 1.0f / sqrtf(warp_sum(sum) / d + epsilon));
}

// The states [tokens, d] of scored positions, one below the other.
extern "C" __global__ void __launch_bounds__(128)
    gather(const float* states, const unsigned* places, float* out, int rows, int d) {
    const int row = row_of_warp(), lane = threadIdx.x & 31;
    if (row >= rows) return;
    const float* from = states + (size_t)places[row] * d;
    for (int c = 4 * lane; c < d; c += 128) store4(out + (size_t)row * d + c, load4(from + c));
}

// y = LayerNorm(gelu(u)), [rows, d]
extern "C" __global__ void __launch_bounds__(128)
    head_norm(const float* u, const float* weight, const float* bias, float epsilon, float* y, int rows, int d) {
    const int row = row_of_warp(), lane = threadIdx.x & 31;
    if (row >= rows) return;
    u += (size_t)row * d;
    y += (size_t)row * d;
    const float2 m = moments(u, d, epsilon, gelu);
    for (int c = lane; c < d; c += 32) y[c] = fmaf((gelu(u[c]) - m.x) * m.y, weight[c], bias[c]);
}

// Logits [rows, vocabulary] into (softmax - onehot(target)) * scale, and the rows' cross entropies in nats.
extern "C" __global__ void __launch_bounds__(128)
    cross_entropy(float* logits, const unsigned* targets, const float* scales, float* losses, int rows, int vocabulary) {
    const int row = row_of_warp(), lane = threadIdx.x & 31;
    if (row >= rows) return;
    float* z = logits + (size_t)row * vocabulary;
    float most = -INFINITY;
    for (int c = lane; c < vocabulary; c += 32) most = fmaxf(most, z[c]);
    for (int step = 16; step > 0; step >>= 1) most = fmaxf(most, __shfl_xor_sync(~0u, most, step));
    float sum = 0;
    for (int c = lane; c < vocabulary; c += 32) sum += expf(z[c] - most);
    sum = warp_sum(sum);
    const unsigned target = targets[row];
    const float scale = scales[row], loss = most + logf(sum) - z[target];
    __syncwarp();
    for (int c = lane; c < vocabulary; c += 32) {
        const float share = expf(z[c] - most) / sum;
        z[c] = (c == target ? share - 1.0f : share) * scale;
    }
    if (lane == 0) losses[row] = loss;
}

// delta = gelu'(u) * LayerNormBackward(gradient), in place of the gradient by the norm's output, [rows, d]
extern "C" __global__ void __launch_bounds__(128)
    head_backward(const float* u, const float* weight, float epsilon, float* gradient, int rows, int d) {
    const int row = row_of_warp(), lane = threadIdx.x & 31;
    if (row >= rows) return;
    u += (size_t)row * d;
    gradient += (size_t)row * d;
    const float2 m = moments(u, d, epsilon, gelu);
    float sum = 0, products = 0;
    for (int c = lane; c < d; c += 32) {
        const float g = gradient[c] * weight[c];
        sum += g;
        products += g * ((gelu(u[c]) - m.x) * m.y);
    }
    const float mean = warp_sum(sum) / d, mean_product = warp_sum(products) / d;
    for (int c = lane; c < d; c += 32) {
        const float g = gradient[c] * weight[c], normalized = (gelu(u[c]) - m.x) * m.y;
        gradient[c] = m.y * (g - mean - normalized * mean_product) * gelu_derivative(u[c]);
    }
}

// One 64 x 64 tile of G = sum over a record's rows of delta[t] h[t]^T, four by four in each of 256 threads; with `SQUARES`
// also of Q = sum of (delta[t] * delta[t]) (h[t] * h[t])^T.
template <bool SQUARES>
struct Tile {
    float g[4][4], q[4][4];
    int row, column;

    __device__ __forceinline__ void compute(const float* delta, const float* hidden, unsigned first, unsigned end,
                                            int d, int across) {
        __shared__ __align__(16) float a[STEPS][TILE + 4], b[STEPS][TILE + 4];
        const int step = threadIdx.x / 16, offset = threadIdx.x % 16 * 4;
        const int top = blockIdx.x / across * TILE, left = blockIdx.x % across * TILE;
        row = top + step * 4;
        column = left + offset;
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) g[i][j] = q[i][j] = 0;
        const auto load = [&](const float* rows, unsigned t, int from) {
            return t < end && from + offset < d ? load4(rows + (size_t)t * d + from + offset) : make_float4(0, 0, 0, 0);
        };
        // what comes next is on its way while this is added
        float4 next_a = load(delta, first + step, top), next_b = load(hidden, first + step, left);
        for (unsigned start = first; start < end; start += STEPS) {
            __syncthreads();
            store4(&a[step][offset], next_a);
            store4(&b[step][offset], next_b);
            __syncthreads();
            next_a = load(delta, start + STEPS + step, top);
            next_b = load(hidden, start + STEPS + step, left);
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const float4 x4 = load4(&a[s][step * 4]), y4 = load4(&b[s][offset]);
                const float x[4] = {x4.x, x4.y, x4.z, x4.w}, y[4] = {y4.x, y4.y, y4.z, y4.w};
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        g[i][j] = fmaf(x[i], y[j], g[i][j]);
                        if (SQUARES) q[i][j] = fmaf(x[i] * x[i], y[j] * y[j], q[i][j]);
                    }
            }
        }
    }
};

// Of each record (`blockIdx.y`) and tile: sum of G*G, of G*G * inverse, and of Q * inverse.
template <bool SQUARES>
__device__ __forceinline__ void tile_sums(const float* delta, const float* hidden, const unsigned* ends,
                                          const float* inverse, double* out, int d, int across) {
    const unsigned record = blockIdx.y;
    Tile<SQUARES> tile;
    tile.compute(delta, hidden, ends[record], ends[record + 1], d, across);
    double sums[3] = {0, 0, 0};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (tile.row + i >= d || tile.column >= d) continue;
        const float4 w4 = load4(inverse + (size_t)(tile.row + i) * d + tile.column);
        const float w[4] = {w4.x, w4.y, w4.z, w4.w};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float square = tile.g[i][j] * tile.g[i][j];
            sums[0] += square;
            sums[1] += square * w[j];
            if (SQUARES) sums[2] += tile.q[i][j] * w[j];
        }
    }
    __shared__ double parts[8][3];
    for (int i = 0; i < 3; i++) sums[i] = warp_sum(sums[i]);
    if ((threadIdx.x & 31) == 0)
        for (int i = 0; i < 3; i++) parts[threadIdx.x >> 5][i] = sums[i];
    __syncthreads();
    if (threadIdx.x < 3) {
        double sum = 0;
        for (int warp = 0; warp < 8; warp++) sum += parts[warp][threadIdx.x];
        out[((size_t)record * gridDim.x + blockIdx.x) * 3 + threadIdx.x] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256)
    tile_sums_plain(const float* delta, const float* hidden, const unsigned* ends, const float* inverse, double* out,
                    int d, int across) {
    tile_sums<false>(delta, hidden, ends, inverse, out, d, across);
}

extern "C" __global__ void __launch_bounds__(256)
    tile_sums_squares(const float* delta, const float* hidden, const unsigned* ends, const float* inverse,
                      double* out, int d, int across) {
    tile_sums<true>(delta, hidden, ends, inverse, out, d, across);
}

// The three sums of each record, over its tiles; a warp takes one.
extern "C" __global__ void __launch_bounds__(32) record_sums(const double* parts, double* out, int tiles) {
    for (int i = 0; i < 3; i++) {
        double sum = 0;
        for (int tile = threadIdx.x; tile < tiles; tile += 32) sum += parts[((size_t)blockIdx.x * tiles + tile) * 3 + i];
        sum = warp_sum(sum);
        if (threadIdx.x == 0) out[(size_t)blockIdx.x * 3 + i] = sum;
    }
}

// Sum over the records of G*G in fixed point, 128 bits with 80 after the point, as `CurvatureSum` holds it; `bad` is set
// where an entry is above 256 or no number.
extern "C" __global__ void __launch_bounds__(256)
    curvature(const float* delta, const float* hidden, const unsigned* ends, int records, ulonglong2* out, unsigned* bad,
              int d, int across) {
    unsigned long long low[4][4] = {}, high[4][4] = {};
    Tile<false> tile;
    for (int record = 0; record < records; record++) {
        tile.compute(delta, hidden, ends[record], ends[record + 1], d, across);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const double square = (double)tile.g[i][j] * (double)tile.g[i][j];
                if (!(square <= 65536.0)) {
                    *bad = 1;
                    continue;
                }
                const unsigned long long bits = __double_as_longlong(square);
                const unsigned long long digits = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
                // the square is digits * 2^(exponent - 80)
                const int exponent = (int)(bits >> 52) - 1075 + 80;
                unsigned long long more = 0, above = 0;
                if (exponent >= 64) {
                    above = digits << (exponent - 64);
                } else if (exponent > 0) {
                    more = digits << exponent;
                    above = digits >> (64 - exponent);
                } else if (exponent > -64) {
                    more = digits >> -exponent;
                }
                low[i][j] += more;
                high[i][j] += above + (low[i][j] < more);
            }
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (tile.row + i < d && tile.column + j < d)
                out[(size_t)(tile.row + i) * d + tile.column + j] = make_ulonglong2(low[i][j], high[i][j]);
}
