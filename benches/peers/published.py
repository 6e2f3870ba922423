"""The published procedure, as we read it.

Every record is padded to 1024 tokens, which attend and count like all others; the gradient of the head's dense weight
is autograd's; one pass over the records is for the curvature, another for the scores. The one gradient that is used can
be had in two ways: `published.py MODEL FASTA` asks autograd for it alone, so that there is no graph of the encoder, and
attention is fused; with `whole` behind it the loss goes back through the whole model, as `loss.backward()` has it go
where nothing is frozen, and attention is written out, as in the package of RNA-FM.
"""

import sys

import torch
from contest import contest
from rna_fm import D, PAD, RnaFm, attention, read_records, written_out
from torch.nn import functional

LENGTH, DAMPING = 1024, 1e-8


def main():
    model, records = RnaFm(sys.argv[1]), read_records(sys.argv[2])
    whole = sys.argv[3:] == ["whole"]
    dense = model.w["lm_head.dense.weight"].requires_grad_()
    weights = [dense, *model.require_gradients()] if whole else [dense]
    positions = torch.arange(LENGTH).unsqueeze(0)

    def squared_gradient(record):
        tokens = functional.pad(record, (0, LENGTH - len(record)), value=PAD).unsqueeze(0)
        x = model.embed(tokens, positions) * (tokens != PAD).unsqueeze(-1)
        logits = model.logits(model.encode(x, written_out if whole else attention), dense)
        loss = functional.cross_entropy(logits[0], tokens[0])
        return torch.autograd.grad(loss, weights)[0].square()

    def score():
        fisher = torch.zeros(D, D)
        for record in records:
            fisher += squared_gradient(record)
        weight = 1 / (fisher / len(records) + DAMPING)
        return [(squared_gradient(record) * weight).sum().item() for record in records]

    contest(score)


main()
