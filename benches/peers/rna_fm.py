"""RNA-FM in PyTorch, for peers that score with it."""

import math

import torch
from safetensors.torch import load_file
from torch.nn import functional

LAYERS, D, HEADS, EPSILON = 12, 640, 20, 1e-5
CLS, PAD, EOS = 0, 1, 2
LETTERS = {letter: 4 + index for index, letter in enumerate("ACGU")}
# Without masked tokens, what token dropout leaves of the embedding.
EMBEDDING_SCALE = 1 - 0.15 * 0.8


def read_records(fasta):
    """The tokens of each record, special tokens included."""
    with open(fasta) as file:
        lines = [line.strip() for line in file]
    sequences = [line for line in lines if not line.startswith(">")]
    return [torch.tensor([CLS, *(LETTERS[letter] for letter in line), EOS]) for line in sequences]


class RnaFm:
    def __init__(self, path):
        self.w = load_file(path)
        self.w["embed_tokens.weight"][24] = 0  # <mask>
        self.layers = []
        for index in range(LAYERS):
            of = lambda name: self.w[f"layers.{index}.{name}"]
            parts = [f"self_attn.{part}_proj" for part in "qkv"]
            self.layers.append({
                "norm1": (of("self_attn_layer_norm.weight"), of("self_attn_layer_norm.bias")),
                "qkv": tuple(torch.cat([of(f"{part}.{kind}") for part in parts]) for kind in ("weight", "bias")),
                "out": (of("self_attn.out_proj.weight"), of("self_attn.out_proj.bias")),
                "norm2": (of("final_layer_norm.weight"), of("final_layer_norm.bias")),
                "fc1": (of("fc1.weight"), of("fc1.bias")),
                "fc2": (of("fc2.weight"), of("fc2.bias")),
            })

    def round_encoder(self):
        """The layers in bf16, and what enters them; embedding, last norm and head stay in f32."""
        self.layers = [
            {name: tuple(tensor.bfloat16() for tensor in pair) for name, pair in layer.items()} for layer in self.layers
        ]

    def require_gradients(self):
        """Has a graph made from the embeddings on; returns their weights and those of the layers."""
        weights = [self.w["embed_tokens.weight"], self.w["embed_positions.weight"]]
        weights += [tensor for layer in self.layers for pair in layer.values() for tensor in pair]
        return [weight.requires_grad_() for weight in weights]

    def norm(self, x, name):
        return functional.layer_norm(x, (D,), self.w[f"{name}.weight"], self.w[f"{name}.bias"], EPSILON)

    def embed(self, tokens, positions):
        """`[..., d]`; positions count from 0, their first row is 2."""
        token = functional.embedding(tokens, self.w["embed_tokens.weight"]) * EMBEDDING_SCALE
        position = functional.embedding(positions + 2, self.w["embed_positions.weight"])
        return self.norm(token + position, "emb_layer_norm_before")

    def encode(self, x, attend):
        """The hidden states that enter the head; `attend` maps `[..., 3d]` to `[..., d]`."""
        x = x.to(self.layers[0]["fc1"][0].dtype)
        for layer in self.layers:
            inner = functional.layer_norm(x, (D,), *layer["norm1"], EPSILON)
            x = x + functional.linear(attend(functional.linear(inner, *layer["qkv"])), *layer["out"])
            inner = functional.layer_norm(x, (D,), *layer["norm2"], EPSILON)
            x = x + functional.linear(functional.gelu(functional.linear(inner, *layer["fc1"])), *layer["fc2"])
        return self.norm(x.float(), "emb_layer_norm_after")

    def logits(self, h, dense):
        """Of hidden states, by the head's dense weight."""
        u = functional.linear(h, dense, self.w["lm_head.dense.bias"])
        y = self.norm(functional.gelu(u), "lm_head.layer_norm")
        return functional.linear(y, self.w["embed_tokens.weight"], self.w["lm_head.bias"])


def attention(qkv):
    """`[B, T, 3d]` to `[B, T, d]`."""
    return joined(functional.scaled_dot_product_attention(*heads(qkv)))


def written_out(qkv):
    """The same, step by step."""
    q, k, v = heads(qkv)
    scores = (q * (D // HEADS) ** -0.5) @ k.transpose(-1, -2)
    return joined(functional.softmax(scores, dim=-1) @ v)


def heads(qkv):
    batch, length, _ = qkv.shape
    return qkv.view(batch, length, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)


def joined(states):
    batch, _, length, _ = states.shape
    return states.transpose(1, 2).reshape(batch, length, D)


def gelu_derivative(u):
    return 0.5 * (1 + torch.erf(u / math.sqrt(2))) + u * torch.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
