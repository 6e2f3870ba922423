"""The closed form of `reconstruction` in PyTorch on a GPU: `gpu.py MODEL...`, models of `SIZES` with random weights.

As fast as we could write it: bf16 weights and activations, f32 head; records end to end without padding through PyTorch's
flash attention for sequences of any length; the layers compiled; gradients of many records by one batched product. The
estimator is the debiased one. Records are as in `cargo bench --bench models -- --gpu bf16`, beside which it is to be run.
"""

import random
import sys
import time

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

# layers, hidden size, heads, intermediate size, vocabulary, rotary
SIZES = {
    "rna-fm": (12, 640, 20, 5120, 25, False),
    "esm2-150m": (30, 640, 20, 2560, 33, True),
    "esm2-650m": (33, 1280, 20, 5120, 33, True),
}
LENGTHS = 60, 315
BATCH_TOKENS = 32768
# Records whose gradients are held at once.
RECORDS = 64
EPSILON = 1e-5


def layer(x, w, bounds, longest, heads, turns):
    h = functional.layer_norm(x, x.shape[-1:], w["norm1"], w["bias1"], EPSILON)
    q, k, v = functional.linear(h, w["qkv"], w["qkv_bias"]).unflatten(-1, (3, heads, -1)).unbind(-3)
    if turns is not None:
        cosine, sine = turns

        def turn(a):
            low, high = a.chunk(2, -1)
            return a * cosine + torch.cat([-high, low], -1) * sine

        q, k = turn(q), turn(k)
    attended = varlen_attn(q, k, v, bounds, bounds, longest, longest).flatten(-2)
    x = x + functional.linear(attended, w["out"], w["out_bias"])
    h = functional.layer_norm(x, x.shape[-1:], w["norm2"], w["bias2"], EPSILON)
    h = functional.gelu(functional.linear(h, w["up"], w["up_bias"]))
    return x + functional.linear(h, w["down"], w["down_bias"])


def head(h, targets, counts, w):
    """delta of each position."""
    u = functional.linear(h, w["dense"], w["dense_bias"])
    v = functional.gelu(u)
    y = functional.layer_norm(v, v.shape[-1:], w["norm"], w["norm_bias"], EPSILON)
    r = functional.linear(y, w["decoder"], w["decoder_bias"]).softmax(-1)
    r = (r - functional.one_hot(targets, r.shape[-1])) / counts.unsqueeze(-1)
    variance, mean = torch.var_mean(v, -1, correction=0, keepdim=True)
    inverse = torch.rsqrt(variance + EPSILON)
    hat, g = (v - mean) * inverse, (r @ w["decoder"]) * w["norm"]
    back = inverse * (g - g.mean(-1, keepdim=True) - hat * (g * hat).mean(-1, keepdim=True))
    below = 0.5 * (1 + torch.erf(u * 0.5**0.5))
    return back * (below + u * torch.exp(-0.5 * u * u) * 0.3989422804014327)


def influence(gradient, same, weight, n):
    return ((gradient * gradient - same) * weight).sum((1, 2)) * n / (n - 1)


class Model:
    def __init__(self, layers, d, heads, inner, vocabulary, rotary):
        torch.manual_seed(0)

        def of(*shape, dtype=torch.bfloat16):
            return ((2 * torch.rand(shape, device="cuda") - 1) * shape[-1] ** -0.5).to(dtype)

        def block():
            w = {"qkv": of(3 * d, d), "qkv_bias": of(3 * d), "out": of(d, d), "out_bias": of(d)}
            w |= {"up": of(inner, d), "up_bias": of(inner), "down": of(d, inner), "down_bias": of(d)}
            ones, zeros = (torch.full((d,), x, device="cuda", dtype=torch.bfloat16) for x in (1.0, 0.0))
            return w | {"norm1": ones, "norm2": ones, "bias1": zeros, "bias2": zeros}

        f32 = torch.float32
        self.layers, self.heads, self.d = [block() for _ in range(layers)], heads, d
        self.embedding, self.positions = of(vocabulary, d), None if rotary else of(1024, d)
        self.head = {"dense": of(d, d, dtype=f32), "dense_bias": of(d, dtype=f32)}
        self.head |= {"decoder": self.embedding.float(), "decoder_bias": of(vocabulary, dtype=f32)}
        self.head |= {"norm": torch.ones(d, device="cuda"), "norm_bias": torch.zeros(d, device="cuda")}
        self.parameters = layers * (4 * d * d + 2 * d * inner) + d * d
        angles = torch.arange(1024).unsqueeze(-1) * 10000 ** (-torch.arange(0, d // heads, 2) / (d // heads))
        self.turns = torch.cat([angles, angles], -1).cuda().unsqueeze(1) if rotary else None

    def scores(self, records, weight):
        lengths = torch.tensor([len(record) for record in records])
        tokens = torch.cat(records).pin_memory().cuda(non_blocking=True)
        places = torch.cat([torch.arange(n) for n in lengths]).cuda(non_blocking=True)
        bounds = functional.pad(lengths.cumsum(0), (1, 0)).int().cuda(non_blocking=True)
        counts = torch.repeat_interleave(lengths, lengths).cuda(non_blocking=True)
        x = self.embedding[tokens]
        turns = None
        if self.turns is None:
            x = x + self.positions[places]
        else:
            turns = self.turns[places].cos().bfloat16(), self.turns[places].sin().bfloat16()
        for w in self.layers:
            x = LAYER(x, w, bounds, LENGTHS[1], self.heads, turns)
        h = functional.layer_norm(x.float(), (self.d,))
        delta = HEAD(h, tokens, counts, self.head)
        n, scores = lengths.float().cuda(non_blocking=True), []
        parts = delta.split(lengths.tolist()), h.split(lengths.tolist())
        for start in range(0, len(records), RECORDS):
            a, b = (torch.nn.utils.rnn.pad_sequence(part[start : start + RECORDS], True) for part in parts)
            gradient = torch.bmm(a.mT, b)
            same = torch.bmm((a * a).mT, b * b)
            scores.append(INFLUENCE(gradient, same, weight, n[start : start + RECORDS]))
        return torch.cat(scores)


LAYER = torch.compile(layer, dynamic=True)
HEAD = torch.compile(head, dynamic=True)
INFLUENCE = torch.compile(influence, dynamic=True)


def rate():
    a = torch.rand(8192, 8192, device="cuda", dtype=torch.bfloat16) * 2 - 1
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - start)


@torch.inference_mode()
def main():
    card = rate()
    print(f"{torch.cuda.get_device_name()}, a product of 8192 x 8192 matrices: {card / 1e12:.1f} TFLOP/s")
    for name in sys.argv[1:]:
        model = Model(*SIZES[name])
        draw = random.Random(1)
        batches, tokens = [], int(2 * card / 2 / model.parameters)
        while tokens > 0:
            batch, room = [], BATCH_TOKENS
            while room > 0:
                n = draw.randint(*LENGTHS) + 2
                batch.append(torch.randint(4, 20, (n,)))
                room -= n
            batches.append(batch)
            tokens -= sum(map(len, batch))
        weight = torch.rand(model.d, model.d, device="cuda")
        for batch in batches[:3]:
            model.scores(batch, weight)
        torch.cuda.synchronize()
        start = time.perf_counter()
        scores = [model.scores(batch, weight) for batch in batches]
        assert torch.cat(scores).isfinite().all()
        seconds = time.perf_counter() - start
        scored = sum(len(record) for batch in batches for record in batch)
        share = scored / seconds * 2 * model.parameters / card
        print(f"{name}: {scored / seconds:.0f} tokens/s, {share:.1%} of the card's rate", flush=True)


main()
