"""nDCG and recall as BEIR and trec_eval compute them."""

import math


def ndcg(ranked, judged, at=10):
    """Of one question: `ranked` document ids, best first; `judged` id -> gain above 0."""
    gained = sum(judged.get(found, 0) / math.log2(rank + 2) for rank, found in enumerate(ranked[:at]))
    ideal = sorted(judged.values(), reverse=True)[:at]
    return gained / sum(gain / math.log2(rank + 2) for rank, gain in enumerate(ideal))


def recall(ranked, judged, at=100):
    """The part of what is relevant that is among the first `at`."""
    return len(set(ranked[:at]) & set(judged)) / len(judged)


def means(runs, judgements):
    """(nDCG@10, recall@100) over all questions: `runs` question id -> ranked ids."""
    scores = [(ndcg(runs[question], judged), recall(runs[question], judged)) for question, judged in judgements.items()]
    return tuple(sum(column) / len(scores) for column in zip(*scores))
