"""The closed form of `reconstruction` in PyTorch, as fast as we could write it.

Records lie end to end without padding and go through once, without autograd. The curvature is that of the same records,
made beforehand; the estimator is the plain one. With `bf16` as a third argument the encoder is in bf16 and the head in f32.
"""

import sys

import torch
from contest import contest
from rna_fm import D, EPSILON, RnaFm, attention, gelu_derivative, read_records
from torch.nn import functional

# Tokens that go through the encoder together; 4096 were no faster.
BATCH_TOKENS = 4096
DAMPING = 1e-8


def batches(records):
    """Records of like length together, so many that they hold about `BATCH_TOKENS` tokens."""
    order = sorted(range(len(records)), key=lambda index: len(records[index]))
    batch, tokens = [], 0
    for index in order:
        if batch and tokens + len(records[index]) > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += len(records[index])
    yield batch


def gradients(model, records):
    """`(index, G)` of each record."""
    dense, decoder = model.w["lm_head.dense.weight"], model.w["embed_tokens.weight"]
    norm = model.w["lm_head.layer_norm.weight"]
    for batch in batches(records):
        lengths = [len(records[index]) for index in batch]
        tokens = torch.cat([records[index] for index in batch])
        positions = torch.cat([torch.arange(length) for length in lengths])

        def attend(qkv):
            return torch.cat([attention(part.unsqueeze(0))[0] for part in qkv.split(lengths)])

        h = model.encode(model.embed(tokens, positions), attend).float()
        u = functional.linear(h, dense, model.w["lm_head.dense.bias"])
        v = functional.gelu(u)
        z = functional.linear(model.norm(v, "lm_head.layer_norm"), decoder, model.w["lm_head.bias"])
        r = z.softmax(-1)
        r[torch.arange(len(tokens)), tokens] -= 1
        r /= torch.repeat_interleave(torch.tensor(lengths), torch.tensor(lengths)).unsqueeze(-1)
        variance, mean = torch.var_mean(v, -1, correction=0, keepdim=True)
        inverse = torch.rsqrt(variance + EPSILON)
        hat, g = (v - mean) * inverse, (r @ decoder) * norm
        back = inverse * (g - g.mean(-1, keepdim=True) - hat * (g * hat).mean(-1, keepdim=True))
        delta = gelu_derivative(u) * back
        for index, d, s in zip(batch, delta.split(lengths), h.split(lengths)):
            yield index, d.T @ s


@torch.inference_mode()
def main():
    model, records = RnaFm(sys.argv[1]), read_records(sys.argv[2])
    if sys.argv[3:] == ["bf16"]:
        model.round_encoder()
    fisher = torch.zeros(D, D)
    for _, gradient in gradients(model, records):
        fisher += gradient.square()
    weight = 1 / (fisher / len(records) + DAMPING)

    def score():
        scores = [0.0] * len(records)
        for index, gradient in gradients(model, records):
            scores[index] = (gradient.square_() * weight).sum().item()
        return scores

    contest(score)


main()
