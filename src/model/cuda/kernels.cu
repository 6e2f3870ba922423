// The encoder's steps between its products, on a GPU: bf16 or f32 activations, sums and the residual stream in f32.
//
// A row's numbers depend on that row alone, and are added in an order that neither the batch nor the launch changes.

#include "common.cuh"
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

// A row that is not a token's: it is embedded as zero.
#define NO_POSITION 0xffffffffu

__device__ __forceinline__ float4 load4(const bf16* p) {
    const uint2 raw = *reinterpret_cast<const uint2*>(p);
    const float2 low = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&raw.x));
    const float2 high = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&raw.y));
    return make_float4(low.x, low.y, high.x, high.y);
}

__device__ __forceinline__ unsigned pack2(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const unsigned*>(&pair);
}

__device__ __forceinline__ void store4(bf16* p, float4 v) {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack2(v.x, v.y), pack2(v.z, v.w));
}

__device__ __forceinline__ float read(const float* p) { return *p; }
__device__ __forceinline__ float read(const bf16* p) { return __bfloat162float(*p); }
__device__ __forceinline__ void write(float* p, float v) { *p = v; }
__device__ __forceinline__ void write(bf16* p, float v) { *p = __float2bfloat16_rn(v); }

__device__ __forceinline__ float2 load2(const float* p) { return *reinterpret_cast<const float2*>(p); }
__device__ __forceinline__ float2 load2(const bf16* p) {
    return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(p));
}
__device__ __forceinline__ void store2(float* p, float2 v) { *reinterpret_cast<float2*>(p) = v; }
__device__ __forceinline__ void store2(bf16* p, float2 v) { *reinterpret_cast<unsigned*>(p) = pack2(v.x, v.y); }

__device__ __forceinline__ float4 add(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ __forceinline__ float total(float4 v) { return (v.x + v.y) + (v.z + v.w); }

// A row in the registers of one warp: quadruple `lane + 32 i` in v[i]; quadruples beyond the row are zero.
template <int N>
struct Row {
    float4 v[N];
    int lane, quadruples;

    __device__ Row(int d) : lane(threadIdx.x & 31), quadruples(d >> 2) {
        for (int i = 0; i < N; i++) v[i] = make_float4(0, 0, 0, 0);
    }

    template <class F>
    __device__ __forceinline__ void each(F f) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int c = lane + 32 * i;
            if (c < quadruples) f(v[i], 4 * c);
        }
    }

    // (x - mean) / sqrt(variance + epsilon) * weight + bias, in two passes as on the CPU.
    __device__ __forceinline__ void normalize(const float* weight, const float* bias, float epsilon) {
        const float d = 4.0f * quadruples;
        float sum = 0;
        each([&](float4& x, int) { sum += total(x); });
        const float mean = warp_sum(sum) / d;
        sum = 0;
        each([&](float4& x, int) {
            x = make_float4(x.x - mean, x.y - mean, x.z - mean, x.w - mean);
            sum += (x.x * x.x + x.y * x.y) + (x.z * x.z + x.w * x.w);
        });
        const float inverse = 1.0f / sqrtf(warp_sum(sum) / d + epsilon);
        each([&](float4& x, int c) {
            const float4 w = load4(weight + c), b = load4(bias + c);
            x = make_float4(fmaf(x.x * inverse, w.x, b.x), fmaf(x.y * inverse, w.y, b.y),
                            fmaf(x.z * inverse, w.z, b.z), fmaf(x.w * inverse, w.w, b.w));
        });
    }
};

// x [rows, d] and, where asked for, the same as activations.
template <class T, int N>
__device__ __forceinline__ void embed(const unsigned* ids, const unsigned* positions, const float* scales,
                                      const float* tokens, const float* learned, const float* weight,
                                      const float* bias, float epsilon, float* x, T* out, int rows, int d) {
    const int row = row_of_warp();
    if (row >= rows) return;
    const unsigned position = positions[row];
    Row<N> values(d);
    if (position != NO_POSITION) {
        const float scale = scales[row];
        const float* token = tokens + (size_t)ids[row] * d;
        const float* place = learned + (size_t)position * d;
        values.each([&](float4& v, int c) {
            const float4 t = load4(token + c);
            v = make_float4(t.x * scale, t.y * scale, t.z * scale, t.w * scale);
            if (learned) v = add(v, load4(place + c));
        });
        if (weight) values.normalize(weight, bias, epsilon);
    }
    const size_t start = (size_t)row * d;
    values.each([&](float4& v, int c) {
        store4(x + start + c, v);
        if (out) store4(out + start + c, v);
    });
}

// out = norm(x), as activations, in f32 (`x` itself where that is where it goes), or both.
template <class T, int N>
__device__ __forceinline__ void norm(const float* x, const float* weight, const float* bias, float epsilon, T* out,
                                     float* out32, int rows, int d) {
    const int row = row_of_warp();
    if (row >= rows) return;
    const size_t start = (size_t)row * d;
    Row<N> values(d);
    values.each([&](float4& v, int c) { v = load4(x + start + c); });
    values.normalize(weight, bias, epsilon);
    values.each([&](float4& v, int c) {
        if (out) store4(out + start + c, v);
        if (out32) store4(out32 + start + c, v);
    });
}

// Queries and keys of rows [q | k | v]: normalized whole where there are weights, then turned by their position, value i
// of a head's lower half paired with value i of its upper half.
template <class T>
__device__ __forceinline__ void turn(T* qkv, const unsigned* positions, const float* cosines, const float* sines,
                                     const float* query_weight, const float* key_weight, float epsilon, int rows,
                                     int d, int head_size) {
    const int row = row_of_warp();
    if (row >= rows || positions[row] == NO_POSITION) return;
    const int lane = threadIdx.x & 31, half = head_size >> 1;
    const float* cosine = cosines + (size_t)positions[row] * half;
    const float* sine = sines + (size_t)positions[row] * half;
    for (int part = 0; part < 2; part++) {
        T* values = qkv + (size_t)row * 3 * d + part * d;
        const float* weight = part ? key_weight : query_weight;
        float mean = 0, inverse = 1;
        if (weight) {
            float sum = 0;
            for (int c = 4 * lane; c < d; c += 128) sum += total(load4(values + c));
            mean = warp_sum(sum) / d;
            sum = 0;
            for (int c = 4 * lane; c < d; c += 128) {
                const float4 v = load4(values + c);
                const float4 x = make_float4(v.x - mean, v.y - mean, v.z - mean, v.w - mean);
                sum += (x.x * x.x + x.y * x.y) + (x.z * x.z + x.w * x.w);
            }
            inverse = 1.0f / sqrtf(warp_sum(sum) / d + epsilon);
            __syncwarp();
        }
        if (half % 2) {
            for (int c = lane; c < d / 2; c += 32) {
                const int i = c % half, low = (c / half) * head_size + i, high = low + half;
                float a = read(values + low), b = read(values + high);
                if (weight) {
                    a = (a - mean) * inverse * weight[low];
                    b = (b - mean) * inverse * weight[high];
                }
                write(values + low, a * cosine[i] - b * sine[i]);
                write(values + high, b * cosine[i] + a * sine[i]);
            }
            continue;
        }
        for (int c = 2 * lane; c < d / 2; c += 64) {
            const int i = c % half, low = (c / half) * head_size + i, high = low + half;
            float2 a = load2(values + low), b = load2(values + high);
            const float2 x = load2(cosine + i), y = load2(sine + i);
            if (weight) {
                const float2 u = load2(weight + low), v = load2(weight + high);
                a = make_float2((a.x - mean) * inverse * u.x, (a.y - mean) * inverse * u.y);
                b = make_float2((b.x - mean) * inverse * v.x, (b.y - mean) * inverse * v.y);
            }
            store2(values + low, make_float2(a.x * x.x - b.x * y.x, a.y * x.y - b.y * y.y));
            store2(values + high, make_float2(b.x * x.x + a.x * y.x, b.y * x.y + a.y * y.y));
        }
        __syncwarp();
    }
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

// Eight neighbouring numbers at once: 16 bytes of bf16.
__device__ __forceinline__ void load8(const float* p, float (&v)[8]) {
    const float4 low = load4(p), high = load4(p + 4);
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
}

__device__ __forceinline__ void load8(const bf16* p, float (&v)[8]) {
    const uint4 raw = *reinterpret_cast<const uint4*>(p);
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v[2 * i] = __uint_as_float(words[i] << 16);
        v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

__device__ __forceinline__ void store8(float* p, const float (&v)[8]) {
    store4(p, make_float4(v[0], v[1], v[2], v[3]));
    store4(p + 4, make_float4(v[4], v[5], v[6], v[7]));
}

__device__ __forceinline__ void store8(bf16* p, const float (&v)[8]) {
    *reinterpret_cast<uint4*>(p) =
        make_uint4(pack2(v[0], v[1]), pack2(v[2], v[3]), pack2(v[4], v[5]), pack2(v[6], v[7]));
}

// Rows that a thread of the next two goes through, at the same eight columns.
#define ROWS_EACH 4

// values = gelu(values + bias), [rows, width]
template <class T>
__device__ __forceinline__ void activate(T* values, const float* bias, int rows, int width) {
    const int column = (blockIdx.y * blockDim.x + threadIdx.x) * 8;
    if (column >= width) return;
    float b[8];
    load8(bias + column, b);
#pragma unroll
    for (int i = 0; i < ROWS_EACH; i++) {
        const int row = blockIdx.x * ROWS_EACH + i;
        if (row >= rows) return;
        T* at = values + (size_t)row * width + column;
        float v[8];
        load8(at, v);
#pragma unroll
        for (int j = 0; j < 8; j++) v[j] = gelu(v[j] + b[j]);
        store8(at, v);
    }
}

// out = silu(a + bias) * (b + bias) with a and b the lower and the upper half of each row of `values`, [rows, 2 width]
template <class T>
__device__ __forceinline__ void gate(const T* values, const float* bias, T* out, int rows, int width) {
    const int column = (blockIdx.y * blockDim.x + threadIdx.x) * 8;
    if (column >= width) return;
    float bias_a[8], bias_b[8];
    load8(bias + column, bias_a);
    load8(bias + width + column, bias_b);
#pragma unroll
    for (int i = 0; i < ROWS_EACH; i++) {
        const int row = blockIdx.x * ROWS_EACH + i;
        if (row >= rows) return;
        const T* at = values + (size_t)row * 2 * width + column;
        float a[8], b[8];
        load8(at, a);
        load8(at + width, b);
#pragma unroll
        for (int j = 0; j < 8; j++) a[j] = silu(a[j] + bias_a[j]) * (b[j] + bias_b[j]);
        store8(out + (size_t)row * width + column, a);
    }
}

// ---- attention: a block takes 64 queries of one head of one sequence -------------------------------------------------

#define LOG2E 1.4426950408889634f
#define QUERIES 64

// First token, tokens and first query of the sequence; pads that its last key stands for, or 0.
typedef int4 Work;

__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ float power_of_2(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

// Keys and values go through shared memory in tiles, the next one loaded while one is used.
template <int HEAD, int KEYS, bool ALIGNED>
__device__ __forceinline__ void load_tile(bf16 (&tile)[KEYS][HEAD + 8], const bf16* source, int first, int tokens,
                                          size_t stride, int head_size) {
    constexpr int CHUNKS = HEAD / 8;
    for (int chunk = threadIdx.x; chunk < KEYS * CHUNKS; chunk += 128) {
        const int row = chunk / CHUNKS, column = chunk % CHUNKS * 8, key = first + row;
        bf16* to = &tile[row][column];
        if (ALIGNED) {
            const bool there = key < tokens && column < head_size;
            const bf16* from = source + (there ? key * stride + column : 0);
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                             (unsigned)__cvta_generic_to_shared(to)),
                         "l"(from), "r"(there ? 16 : 0));
        } else {
            for (int i = 0; i < 8; i++) {
                const bool there = key < tokens && column + i < head_size;
                to[i] = there ? source[key * stride + column + i] : __float2bfloat16_rn(0);
            }
        }
    }
}

template <int HEAD, bool ALIGNED>
__device__ __forceinline__ void attention(const bf16* qkv, bf16* out, const Work* work, int d, int head_size) {
    constexpr int KEYS = HEAD > 64 ? 32 : 64;
    __shared__ __align__(16) bf16 keys[2][KEYS][HEAD + 8], values[2][KEYS][HEAD + 8];
    const Work w = work[blockIdx.x];
    const int tokens = w.y, lane = threadIdx.x & 31, group = lane >> 2, column = (lane & 3) * 2;
    const size_t stride = 3 * (size_t)d;
    const bf16* q = qkv + w.x * stride + blockIdx.y * head_size;
    const bf16 *k = q + d, *v = q + 2 * d;
    const int query[2] = {w.z + (int)(threadIdx.x >> 5) * 16 + group, w.z + (int)(threadIdx.x >> 5) * 16 + group + 8};

    unsigned queries[HEAD / 16][4];
#pragma unroll
    for (int step = 0; step < HEAD / 16; step++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int row = query[i & 1], at = step * 16 + column + (i >> 1) * 8;
            const bool there = row < tokens && at < head_size;
            queries[step][i] = there ? *reinterpret_cast<const unsigned*>(q + row * stride + at) : 0;
        }

    const float last_bias = w.w > 0 ? logf((float)w.w) : 0.0f;
    float sums[HEAD / 8][4] = {};
    float largest[2] = {-INFINITY, -INFINITY}, weights[2] = {0, 0};
    const int tiles = (tokens + KEYS - 1) / KEYS;
    load_tile<HEAD, KEYS, ALIGNED>(keys[0], k, 0, tokens, stride, head_size);
    load_tile<HEAD, KEYS, ALIGNED>(values[0], v, 0, tokens, stride, head_size);
    asm volatile("cp.async.commit_group;");
    for (int tile = 0; tile < tiles; tile++) {
        const int now = tile & 1;
        if (tile + 1 < tiles) {
            load_tile<HEAD, KEYS, ALIGNED>(keys[now ^ 1], k, (tile + 1) * KEYS, tokens, stride, head_size);
            load_tile<HEAD, KEYS, ALIGNED>(values[now ^ 1], v, (tile + 1) * KEYS, tokens, stride, head_size);
        }
        asm volatile("cp.async.commit_group;");
        asm volatile("cp.async.wait_group 1;");
        __syncthreads();

        float scores[KEYS / 8][4] = {};
#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2)
#pragma unroll
            for (int step = 0; step < HEAD / 16; step++) {
                const bf16* key = &keys[now][n * 8 + (lane >> 4) * 8 + (lane & 7)][step * 16 + (lane & 8)];
                unsigned b[4];
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                             : "r"((unsigned)__cvta_generic_to_shared(key)));
                mma(scores[n], queries[step], b[0], b[1]);
                mma(scores[n + 1], queries[step], b[2], b[3]);
            }
        if (tile + 1 == tiles) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int key = tile * KEYS + n * 8 + column + (i & 1);
                    if (key >= tokens) scores[n][i] = -INFINITY;
                    if (key == tokens - 1) scores[n][i] += last_bias;
                }
        }
        float most[2] = {largest[0], largest[1]};
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) most[i >> 1] = fmaxf(most[i >> 1], scores[n][i]);
        float shrink[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            most[r] = fmaxf(most[r], __shfl_xor_sync(~0u, most[r], 1));
            most[r] = fmaxf(most[r], __shfl_xor_sync(~0u, most[r], 2));
            shrink[r] = power_of_2((largest[r] - most[r]) * LOG2E);
            largest[r] = most[r];
            weights[r] *= shrink[r];
        }
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums[n][i] *= shrink[i >> 1];
        const float offset[2] = {-largest[0] * LOG2E, -largest[1] * LOG2E};
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[n][i] = power_of_2(fmaf(scores[n][i], LOG2E, offset[i >> 1]));
                weights[i >> 1] += scores[n][i];
            }
#pragma unroll
        for (int step = 0; step < KEYS / 16; step++) {
            const float *low = scores[2 * step], *high = scores[2 * step + 1];
            const unsigned shares[4] = {pack2(low[0], low[1]), pack2(low[2], low[3]), pack2(high[0], high[1]),
                                        pack2(high[2], high[3])};
#pragma unroll
            for (int n = 0; n < HEAD / 16; n++) {
                const bf16* value = &values[now][step * 16 + (lane & 15)][n * 16 + (lane >> 4) * 8];
                unsigned b[4];
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                             : "r"((unsigned)__cvta_generic_to_shared(value)));
                mma(sums[2 * n], shares, b[0], b[1]);
                mma(sums[2 * n + 1], shares, b[2], b[3]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        weights[r] += __shfl_xor_sync(~0u, weights[r], 1);
        weights[r] += __shfl_xor_sync(~0u, weights[r], 2);
        if (query[r] >= tokens) continue;
        bf16* to = out + (size_t)(w.x + query[r]) * d + blockIdx.y * head_size;
        const float inverse = 1.0f / weights[r];
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++) {
            const int at = n * 8 + column;
            if (at < head_size)
                *reinterpret_cast<unsigned*>(to + at) =
                    pack2(sums[n][2 * r] * inverse, sums[n][2 * r + 1] * inverse);
        }
    }
}

// The same in f32: a thread takes one query.
template <int HEAD>
__device__ __forceinline__ void attention(const float* qkv, float* out, const Work* work, int d, int head_size) {
    constexpr int KEYS = 32;
    __shared__ __align__(16) float keys[KEYS][HEAD], values[KEYS][HEAD];
    const Work w = work[blockIdx.x];
    const int tokens = w.y, query = w.z + threadIdx.x;
    const size_t stride = 3 * (size_t)d;
    const float* q = qkv + w.x * stride + blockIdx.y * head_size;
    float mine[HEAD], sums[HEAD];
#pragma unroll
    for (int c = 0; c < HEAD; c++) {
        mine[c] = query < tokens && c < head_size ? q[query * stride + c] : 0.0f;
        sums[c] = 0;
    }
    const float last_bias = w.w > 0 ? logf((float)w.w) : 0.0f;
    float largest = -INFINITY, weight = 0;
    for (int first = 0; first < tokens; first += KEYS) {
        const int count = min(KEYS, tokens - first);
        __syncthreads();
        for (int at = threadIdx.x; at < KEYS * HEAD; at += QUERIES) {
            const int row = at / HEAD, c = at % HEAD;
            const bool there = row < count && c < head_size;
            const float* from = q + (first + row) * stride + d + c;
            keys[row][c] = there ? from[0] : 0.0f;
            values[row][c] = there ? from[d] : 0.0f;
        }
        __syncthreads();
        for (int row = 0; row < count; row++) {
            float part[4] = {0, 0, 0, 0};
#pragma unroll
            for (int c = 0; c < HEAD; c++) part[c & 3] = fmaf(mine[c], keys[row][c], part[c & 3]);
            float score = (part[0] + part[1]) + (part[2] + part[3]);
            if (first + row == tokens - 1) score += last_bias;
            if (score > largest) {
                const float shrink = expf(largest - score);
                weight *= shrink;
#pragma unroll
                for (int c = 0; c < HEAD; c++) sums[c] *= shrink;
                largest = score;
            }
            const float share = expf(score - largest);
            weight += share;
#pragma unroll
            for (int c = 0; c < HEAD; c++) sums[c] = fmaf(share, values[row][c], sums[c]);
        }
    }
    if (query >= tokens) return;
    float* to = out + (size_t)(w.x + query) * d + blockIdx.y * head_size;
#pragma unroll
    for (int c = 0; c < HEAD; c++)
        if (c < head_size) to[c] = sums[c] / weight;
}

// ---- entry points: `NAME_TYPE_SIZE`, the size the least that holds a row's quadruples a lane, or a head ---------------

#define ROWS(T, N)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        embed_##T##_##N(const unsigned* ids, const unsigned* positions, const float* scales, const float* tokens,      \
                        const float* learned, const float* weight, const float* bias, float epsilon, float* x, T* out, \
                        int rows, int d) {                                                                             \
        embed<T, N>(ids, positions, scales, tokens, learned, weight, bias, epsilon, x, out, rows, d);                  \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        norm_##T##_##N(const float* x, const float* weight, const float* bias, float epsilon, T* out, float* out32,    \
                       int rows, int d) {                                                                              \
        norm<T, N>(x, weight, bias, epsilon, out, out32, rows, d);                                                     \
    }
#define WIDTHS(T) ROWS(T, 2) ROWS(T, 5) ROWS(T, 10) ROWS(T, 20) ROWS(T, 40)
WIDTHS(bf16)
WIDTHS(float)

#define ANY(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        turn_##T(T* qkv, const unsigned* positions, const float* cosines, const float* sines,                          \
                 const float* query_weight, const float* key_weight, float epsilon, int rows, int d, int head_size) {  \
        turn<T>(qkv, positions, cosines, sines, query_weight, key_weight, epsilon, rows, d, head_size);                \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        activate_##T(T* values, const float* bias, int rows, int width) {                                              \
        activate<T>(values, bias, rows, width);                                                                        \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        gate_##T(const T* values, const float* bias, T* out, int rows, int width) {                                    \
        gate<T>(values, bias, out, rows, width);                                                                       \
    }
ANY(bf16)
ANY(float)

#define HEADS(HEAD)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(128, HEAD > 64 ? 3 : HEAD > 32 ? 4 : 5)                               \
        attention_bf16_##HEAD(const bf16* qkv, bf16* out, const Work* work, int d, int head_size) {                    \
        attention<HEAD, true>(qkv, out, work, d, head_size);                                                           \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128, HEAD > 64 ? 3 : HEAD > 32 ? 4 : 5)                               \
        attention_unaligned_bf16_##HEAD(const bf16* qkv, bf16* out, const Work* work, int d, int head_size) {          \
        attention<HEAD, false>(qkv, out, work, d, head_size);                                                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(QUERIES)                                                              \
        attention_float_##HEAD(const float* qkv, float* out, const Work* work, int d, int head_size) {                 \
        attention<HEAD>(qkv, out, work, d, head_size);                                                                 \
    }
HEADS(16)
HEADS(32)
HEADS(64)
HEADS(128)
