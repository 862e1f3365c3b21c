"""How often does the semantic cache find what means the same, and how often does it give a wrong answer?

python -m benchmarks.semantic_cache

On labelled pairs (semantic_pairs.tsv: a question, two wordings of it, two near misses), by threshold, with the guards
and without. Exits 1 when the share of near misses that are answered at the default threshold exceeds 1 %.
"""

import sys
import time
from pathlib import Path

from bridge.caching.similar_prompts import difference
from bridge.config import SemanticCacheConfig
from bridge.text_embedding import local_embedder

PAIRS = Path(__file__).with_name("semantic_pairs.tsv")
THRESHOLDS = (0.80, 0.85, 0.90, 0.95, 0.98)
MOST_FALSE_HITS = 0.01


def pairs() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs that mean the same, and near misses."""
    rows = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines()[1:]]
    same = [(base, wording) for base, *rest in rows for wording in rest[:2]]
    return same, [(base, wording) for base, *rest in rows for wording in rest[2:]]


def similarities(of: list[tuple[str, str]]) -> list[float]:
    """Cosine of each pair."""
    embed = local_embedder().embed
    return [sum(a * b for a, b in zip(*embed(pair), strict=True)) for pair in of]


def main() -> None:
    """Print the table; exit 1 when the default gives too many wrong answers."""
    same, other = pairs()
    near, far = similarities(same), similarities(other)
    same_ok = [difference(*pair) is None for pair in same]
    other_ok = [difference(*pair) is None for pair in other]
    print(f"{len(same)} pairs that mean the same, {len(other)} near misses")
    print("threshold   hits  false hits   hits guarded  false hits guarded")
    default = SemanticCacheConfig().threshold
    worst = 0.0
    for threshold in THRESHOLDS:
        hits = sum(value >= threshold for value in near) / len(same)
        false = sum(value >= threshold for value in far) / len(other)
        guarded = sum(value >= threshold and ok for value, ok in zip(near, same_ok, strict=True)) / len(same)
        wrong = sum(value >= threshold and ok for value, ok in zip(far, other_ok, strict=True)) / len(other)
        mark = " <- default" if threshold == default else ""
        print(f"{threshold:9.2f} {hits:6.1%} {false:11.1%} {guarded:14.1%} {wrong:19.1%}{mark}")
        worst = wrong if threshold == default else worst
    began = time.perf_counter()
    for pair in same:
        difference(*pair)
    print(f"guards: {(time.perf_counter() - began) / len(same) * 1e6:.0f} us a pair")
    if worst > MOST_FALSE_HITS:
        print(f"false hits of {worst:.1%} are over {MOST_FALSE_HITS:.0%}")
        sys.exit(1)


if __name__ == "__main__":
    main()
