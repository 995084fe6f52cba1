"""The metrics a second time: exact fractions, one pair at a time, from the definitions; average precisions are floats."""

import heapq
import math
import random
from collections.abc import Sequence
from fractions import Fraction


def first_classes(row: list[float], count: int) -> list[int]:
    return sorted(range(len(row)), key=lambda index: (-row[index], index))[:count]


def precision(pairs: list[tuple[float, int]], positives: int) -> float:
    """Average precision of (score, hit) by YouTube-8M's rules: a heap, a permutation by `random.seed(0)`, a stable sort."""
    heap: list[tuple[float, int]] = []
    for pair in sorted(pairs):
        heapq.heappush(heap, pair)
    order = random.Random(0).sample(range(len(heap)), len(heap))
    ranked = sorted((heap[place] for place in order), key=lambda pair: pair[0], reverse=True)
    places = [place for place, (_, hit) in enumerate(ranked, 1) if hit]
    return math.fsum(found / place for found, place in enumerate(places, 1)) / max(positives, 1)


def counted_hit(scores: list[list[float]], labels: list[list[int]]) -> Fraction:
    return Fraction(sum(truth[first_classes(row, 1)[0]] for row, truth in zip(scores, labels, strict=True)), len(scores))


def counted_perr(scores: list[list[float]], labels: list[list[int]]) -> Fraction:
    total = Fraction(0)
    for row, truth in zip(scores, labels, strict=True):
        if sum(truth):
            best = first_classes(row, sum(truth))
            total += Fraction(sum(truth[index] for index in best if row[index] > 0), sum(truth))
    return total / len(scores)


def counted_gap(scores: list[list[float]], labels: list[list[int]], top_k: int) -> float:
    pairs = [(row[index], truth[index]) for row, truth in zip(scores, labels, strict=True) for index in first_classes(row, top_k)]
    return precision(pairs, sum(map(sum, labels)))


def counted_class_precision(scores: list[list[float]], labels: list[list[int]], index: int, top_k: int) -> float:
    pairs = [(row[index], truth[index]) for row, truth in zip(scores, labels, strict=True) if index in first_classes(row, top_k)]
    return precision(pairs, sum(truth[index] for truth in labels))


def counted_area(scores: list[list[float]], labels: list[list[int]], index: int) -> Fraction | None:
    positives = [row[index] for row, truth in zip(scores, labels, strict=True) if truth[index]]
    negatives = [row[index] for row, truth in zip(scores, labels, strict=True) if not truth[index]]
    if not positives or not negatives:
        return None
    wins = [Fraction(2 * (a > b) + (a == b), 2) for a in positives for b in negatives]
    return sum(wins, Fraction(0)) / len(wins)


def counted_loss(scores: list[list[float]], labels: list[list[int]]) -> float:
    cells = [
        -(math.log(p + 1e-5) if y else math.log(1.0 - p + 1e-5))
        for row, truth in zip(scores, labels, strict=True)
        for p, y in zip(row, truth, strict=True)
    ]
    return math.fsum(cells) / len(scores)


def mean(values: Sequence[float | Fraction]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
