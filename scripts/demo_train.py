#!/usr/bin/env python3
"""Make the demo model: a small OpenELM, its tokenizer, and the numbers that tests compare with.

    python3 scripts/demo_corpus.py corpus                        # text from Project Gutenberg
    python3 scripts/demo_train.py tokenizer corpus OUT           # OUT/tokenizer.json
    python3 scripts/demo_train.py train corpus OUT --tokens 1.3e9
    python3 scripts/demo_train.py golden assets/demo tests/fixtures/demo-golden.json   # compare, or --write

Needs torch, numpy, safetensors and tokenizers from PyPI. `train` uses a GPU where torch finds one: ten minutes on a large one do what
takes days on a processor. Copy OUT/* over assets/demo and write the goldens anew when the validation loss is lower than before.

The model follows Apple's published description of OpenELM; `golden` shows that it agrees with Apple's own code, by which the
goldens in the repository were computed.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEPARATOR = "\n\n<|endofstory|>\n\n"
BOS, EOS, BYTES = 1, 2, 3  # ids: <unk> <s> </s>, then 256 bytes, then pieces

CONFIG = {
    "model_type": "openelm",
    "architectures": ["OpenELMForCausalLM"],
    "activation_fn_name": "swish",
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "vocab_size": 4096,
    "model_dim": 192,
    "head_dim": 32,
    "num_transformer_layers": 6,
    "num_gqa_groups": 4,
    "num_query_heads": [4, 4, 4, 8, 8, 8],
    "num_kv_heads": [1, 1, 1, 2, 2, 2],
    "ffn_multipliers": [0.5, 1.2, 1.9, 2.6, 3.3, 4.0],
    "ffn_dim_divisor": 32,
    "ffn_with_glu": True,
    "normalize_qk_projections": True,
    "normalization_layer_name": "rms_norm",
    "share_input_output_layers": True,
    "rope_freq_constant": 10000,
    "max_context_length": 512,
    "torch_dtype": "float16",
}


# ---- model: names of parameters are those of Apple's checkpoints ----


def ffn_width(config, layer):
    """Apple's make_divisible: the nearest multiple of the divisor, not below 0.9 of the wish."""
    wish, divisor = config["ffn_multipliers"][layer] * config["model_dim"], config["ffn_dim_divisor"]
    width = max(divisor, int(wish + divisor / 2) // divisor * divisor)
    return width + divisor if width < 0.9 * wish else width


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.q_heads = config["num_query_heads"][layer]
        self.kv_heads = config["num_kv_heads"][layer]
        self.head_dim = config["head_dim"]
        width, heads = config["model_dim"], self.q_heads + 2 * self.kv_heads
        self.qkv_proj = nn.Linear(width, heads * self.head_dim, bias=False)
        self.out_proj = nn.Linear(self.q_heads * self.head_dim, width, bias=False)
        self.q_norm, self.k_norm = RMSNorm(self.head_dim), RMSNorm(self.head_dim)

    def forward(self, x, rotation):
        batch, length, _ = x.shape
        heads = self.qkv_proj(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = heads.split([self.q_heads, self.kv_heads, self.kv_heads], dim=1)
        q, k = rotate(self.q_norm(q), rotation), rotate(self.k_norm(k), rotation)
        group = self.q_heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(batch, length, -1))


def rotation_table(config, length):
    """Cosines and sines [length, head_dim / 2]."""
    half = config["head_dim"] // 2
    frequency = config["rope_freq_constant"] ** (-torch.arange(half) / half)
    angle = torch.outer(torch.arange(length), frequency)
    return angle.cos(), angle.sin()


def rotate(x, rotation):
    """Pairs are dimension d and d + head_dim / 2."""
    cos, sin = (part[: x.shape[-2]].type_as(x) for part in rotation)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class FeedForward(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        width, inner = config["model_dim"], ffn_width(config, layer)
        self.proj_1 = nn.Linear(width, 2 * inner, bias=False)
        self.proj_2 = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        gate, linear = self.proj_1(x).chunk(2, -1)
        return self.proj_2(F.silu(gate) * linear)


class Layer(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.attn, self.ffn = Attention(config, layer), FeedForward(config, layer)
        self.attn_norm, self.ffn_norm = RMSNorm(config["model_dim"]), RMSNorm(config["model_dim"])

    def forward(self, x, rotation, dropout):
        x = x + F.dropout(self.attn(self.attn_norm(x), rotation), dropout, self.training)
        return x + F.dropout(self.ffn(self.ffn_norm(x)), dropout, self.training)


class OpenELM(nn.Module):
    def __init__(self, config, dropout=0.0):
        super().__init__()
        self.config, self.dropout = config, dropout
        self.transformer = nn.ModuleDict(
            {
                "token_embeddings": nn.Embedding(config["vocab_size"], config["model_dim"]),
                "layers": nn.ModuleList(Layer(config, i) for i in range(config["num_transformer_layers"])),
                "norm": RMSNorm(config["model_dim"]),
            }
        )
        depth = 2 * config["num_transformer_layers"]
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                ends_branch = name.endswith(("out_proj.weight", "proj_2.weight"))
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5 * (depth**-0.5 if ends_branch else 1))

    def forward(self, ids):
        """Logits [batch, length, vocab] of ids [batch, length]."""
        rotation = [part.to(ids.device) for part in rotation_table(self.config, ids.shape[1])]
        x = self.transformer["token_embeddings"](ids)
        for layer in self.transformer["layers"]:
            x = layer(x, rotation, self.dropout)
        return F.linear(self.transformer["norm"](x), self.transformer["token_embeddings"].weight)


# ---- tokenizer: laid out as Llama-2's (byte fallback, spaces as U+2581, one prepended) ----


def read_stories(path):
    return path.read_text(encoding="utf-8").rstrip("\n").split(SEPARATOR)


def train_tokenizer(corpus, out):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    stories = read_stories(corpus / "train.txt")
    alphabet = sorted(set("".join(stories)) - {" ", "\n"} | {"\u2581"})
    merge_count = CONFIG["vocab_size"] - BYTES - 256 - len(alphabet)
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    # Pieces end at words and between letters, digits and punctuation.
    pieces = Regex("\u2581?[A-Za-z]+|\u2581?[0-9]|\u2581?[^A-Za-z0-9\u2581]+|\u2581")
    learner.pre_tokenizer = pre_tokenizers.Split(pieces, "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + merge_count, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator((line for story in stories for line in story.split("\n") if line), trainer)
    learned = json.loads(learner.to_str())["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in learned["merges"]]

    vocab = {"<unk>": 0, "<s>": BOS, "</s>": EOS}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = BYTES + byte
    for piece in [a + b for a, b in merges] + alphabet:
        vocab.setdefault(piece, len(vocab))
    if len(vocab) > CONFIG["vocab_size"]:
        sys.exit(f"{len(vocab)} pieces are more than {CONFIG['vocab_size']}")

    def special(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    template = {
        "type": "TemplateProcessing",
        "single": [special("<s>"), {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [special("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}},
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    text = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **flags} for i, name in enumerate(["<unk>", "<s>", "</s>"])],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": template,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocab,
            "merges": [f"{a} {b}" for a, b in merges],
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False, indent=1), encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    for sample in ["Once upon a time", 'Two\n\nlines, "yes" \U0001f600 \u00e9  two spaces']:
        if tokenizer.decode(tokenizer.encode(sample).ids) != sample:
            sys.exit(f"the tokenizer does not give back {sample!r}")
    print(f"{len(vocab)} pieces, {len(merges)} merges")


# ---- training ----


def token_stream(corpus, name, out):
    """All stories as one array of ids, each between <s> and </s>, and the bytes of their text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    stories = read_stories(corpus / f"{name}.txt")
    ids = [np.array(e.ids + [EOS], dtype=np.int64) for e in tokenizer.encode_batch(stories)]
    return ids, sum(len(story.encode()) for story in stories)


def windows(stories, length, rng):
    """Endless rows of length + 1 ids: the stories in a new order every epoch, cut from a new offset."""
    while True:
        stream = np.concatenate([stories[i] for i in rng.permutation(len(stories))])
        stream = stream[rng.integers(length) :]
        count = (len(stream) - 1) // length
        for i in rng.permutation(count):
            yield stream[i * length : i * length + length + 1]


@torch.no_grad()
def validate(model, stories, byte_count, length, device):
    """Nats a token and bits a byte over the whole validation text."""
    model.eval()
    stream = torch.from_numpy(np.concatenate(stories)).to(device)
    rows = [stream[i : i + length + 1] for i in range(0, len(stream) - length, length)]
    total = 0.0
    for row in rows:
        total += F.cross_entropy(model(row[None, :-1])[0].float(), row[1:]).item()
    model.train()
    nats = total / max(1, len(rows))
    return nats, nats / math.log(2) * len(stream) / byte_count


def train(arguments):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    length, batch = CONFIG["max_context_length"], arguments.batch
    model = OpenELM(CONFIG, arguments.dropout).to(device)
    stories, _ = token_stream(arguments.corpus, "train", arguments.out)
    held_out = token_stream(arguments.corpus, "valid", arguments.out)
    total = sum(map(len, stories))
    steps = max(1, int(arguments.tokens / (batch * length)))
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {total} tokens of text, {steps} steps on {device}")
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embeddings" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or "embeddings" in n]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=arguments.lr, betas=(0.9, 0.98))
    rows = windows(stories, length, np.random.default_rng(7))
    step_model = torch.compile(model) if device == "cuda" else model
    best, begin = math.inf, time.time()
    for step in range(steps):
        warm, progress = min(1.0, (step + 1) / 100), step / steps
        for group in optimizer.param_groups:
            group["lr"] = arguments.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        ids = torch.from_numpy(np.stack([next(rows) for _ in range(batch)])).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = F.cross_entropy(step_model(ids[:, :-1]).flatten(0, 1).float(), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % arguments.every == 0 or step + 1 == steps:
            nats, bits = validate(model, *held_out, length, device)
            print(f"step {step + 1} train {loss.item():.4f} valid {nats:.4f} nats/token {bits:.4f} bits/byte {time.time() - begin:.0f} s")
            if nats < best:
                best = nats
                save(model, arguments.out)


def save(model, out):
    from safetensors.torch import save_file

    tensors = {name: weight.detach().half().cpu().contiguous() for name, weight in model.named_parameters()}
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


# ---- goldens ----


def load(folder):
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    model = OpenELM(config)
    model.load_state_dict({name: w.float() for name, w in load_file(str(folder / "model.safetensors")).items()})
    return model.eval()


@torch.no_grad()
def continue_greedily(model, ids, count, penalty):
    """Ids, and how far the best logit was ahead of the second each time."""
    ids, margins = list(ids), []
    for _ in range(count):
        logits = model(torch.tensor([ids]))[0, -1]
        seen = torch.tensor(sorted(set(ids)))
        raw = logits[seen]
        logits[seen] = torch.where(raw < 0, raw * penalty, raw / penalty)
        first, second = logits.topk(2).values.tolist()
        margins.append(first - second)
        ids.append(int(logits.argmax()))
    return ids[-count:], margins


@torch.no_grad()
def golden_case(model, ids):
    logits = model(torch.tensor([ids]))[0]
    logprobs = logits.log_softmax(-1)
    top = logits[-1].topk(10)
    greedy, margins = continue_greedily(model, ids, 48, 1.0)
    return {
        "ids": ids,
        "top": [[i, x] for i, x in zip(top.indices.tolist(), top.values.tolist())],
        "token_logprobs": [logprobs[t, id].item() for t, id in enumerate(ids[1:])],
        "greedy": greedy,
        "greedy_margin": margins,
        "greedy_repetition_penalty_1_2": continue_greedily(model, ids, 48, 1.2)[0],
        "logit_norm": logits[-1].norm().item(),
        "last_logits": logits[-1].tolist(),
    }


def golden(folder, path, write):
    torch.set_num_threads(1)
    model, stored = load(folder), json.loads(path.read_text())
    cases = [golden_case(model, case["ids"]) for case in stored["cases"]]
    if write:
        path.write_text(json.dumps({**stored, "cases": cases}) + "\n")
        return
    for ours, theirs in zip(cases, stored["cases"]):
        for key in ("token_logprobs", "last_logits"):
            worst = max((abs(a - b) for a, b in zip(ours[key], theirs[key])), default=0.0)
            print(f"{len(ours['ids'])} ids, {key}: off by at most {worst:.1e}")
            if worst > 1e-3:
                sys.exit("that is not the same model")
        for key in ("greedy", "greedy_repetition_penalty_1_2"):
            if ours[key] != theirs[key]:
                print(f"{len(ours['ids'])} ids, {key}: differs (a near-tie?)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("tokenizer", "train"):
        verb = verbs.add_parser(name)
        verb.add_argument("corpus", type=pathlib.Path)
        verb.add_argument("out", type=pathlib.Path)
    verb.add_argument("--tokens", type=float, default=1.3e9, help="how many to train on")
    verb.add_argument("--batch", type=int, default=64, help="rows of 512 tokens a step")
    verb.add_argument("--lr", type=float, default=2.5e-3)
    verb.add_argument("--dropout", type=float, default=0.1)
    verb.add_argument("--every", type=int, default=500, help="steps between validations")
    verb = verbs.add_parser("golden")
    verb.add_argument("folder", type=pathlib.Path)
    verb.add_argument("path", type=pathlib.Path)
    verb.add_argument("--write", action="store_true", help="write instead of compare")
    arguments = parser.parse_args()
    if arguments.verb == "tokenizer":
        train_tokenizer(arguments.corpus, arguments.out)
    elif arguments.verb == "train":
        train(arguments)
    else:
        golden(arguments.folder, arguments.path, arguments.write)


if __name__ == "__main__":
    main()
