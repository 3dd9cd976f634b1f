"""Vectors in clusters of uneven size, with the spectrum of text embeddings, and what is nearest to what."""

import numpy as np

DIMENSIONS = 384
CLUSTERS = 1000
RESULTS = 10
# What filters let through; 1 is no filter.
SHARES = (1, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9)


def make(folder, count, questions):
    """Writes what `measure` reads: vectors, questions, an attribute, and the exact answers."""
    random = np.random.default_rng(6)
    spectrum = np.arange(1, DIMENSIONS + 1) ** -0.5
    spectrum /= np.linalg.norm(spectrum)
    rotation, _ = np.linalg.qr(random.standard_normal((DIMENSIONS, DIMENSIONS)))

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    centres = unit((random.standard_normal((CLUSTERS, DIMENSIONS)) * spectrum) @ rotation)
    weights = random.pareto(1.5, CLUSTERS) + 0.2

    def drawn(number):
        cluster = random.choice(CLUSTERS, number, p=weights / weights.sum())
        return unit(centres[cluster] + 0.7 * (random.standard_normal((number, DIMENSIONS)) * spectrum) @ rotation)

    vectors, asked = drawn(count).astype("<f4"), drawn(questions).astype("<f4")
    share = random.random(count).astype("<f4")
    vectors.tofile(folder / "vectors.f32")
    asked.tofile(folder / "questions.f32")
    share.tofile(folder / "share.f32")
    likeness = asked @ vectors.T
    for limit in SHARES:
        (allowed,) = np.where(share < limit)
        best = np.argsort(-likeness[:, allowed], axis=1)[:, :RESULTS]
        allowed[best].astype("<u4").tofile(folder / f"nearest-{limit}.u32")


def load(folder):
    """Vectors, questions, the attribute, and the exact answers of each filter."""
    rows = [np.fromfile(folder / f"{name}.f32", "<f4").reshape(-1, DIMENSIONS) for name in ("vectors", "questions")]
    nearest = {limit: np.fromfile(folder / f"nearest-{limit}.u32", "<u4").reshape(-1, RESULTS) for limit in SHARES}
    return *rows, np.fromfile(folder / "share.f32", "<f4"), nearest
