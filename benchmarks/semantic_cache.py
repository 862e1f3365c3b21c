"""How often does the semantic cache find what means the same, and how often does it give a wrong answer?

python -m benchmarks.semantic_cache

On labelled pairs (a question, two wordings of it, two near misses), by threshold, with the guards and without: the
pairs that the guards were made with, and pairs that were written afterwards. Exits 1 when at the default threshold the
share of near misses that are answered exceeds 1 % on either, or when it never hits.
"""

import sys
import time
from pathlib import Path

from bridge.caching.similar_prompts import difference, meaning_of, plain_of
from bridge.config import SemanticCacheConfig
from bridge.text_embedding import local_embedder

HERE = Path(__file__).parent
PAIRS = {"known pairs": HERE / "semantic_pairs.tsv", "unseen pairs": HERE / "semantic_pairs_unseen.tsv"}
THRESHOLDS = (0.80, 0.85, 0.90, 0.95, 0.98)
MOST_FALSE_HITS = 0.01
LEAST_HITS = 0.1

Pair = tuple[str, str]


def pairs(of: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs that mean the same, and near misses."""
    rows = [line.split("\t") for line in of.read_text(encoding="utf-8").splitlines()[1:]]
    same = [(base, wording) for base, *rest in rows for wording in rest[:2]]
    return same, [(base, wording) for base, *rest in rows for wording in rest[2:]]


def similarities(of: list[Pair]) -> list[float]:
    """Cosine of each pair."""
    embed = local_embedder().embed
    return [sum(a * b for a, b in zip(*embed([plain_of(one) for one in pair]), strict=True)) for pair in of]


def is_let_through(pair: Pair) -> bool:
    """Do the guards find nothing?"""
    return difference(meaning_of(pair[0]), meaning_of(pair[1])) is None


def share(near: list[float], of: list[Pair], threshold: float, *, is_guarded: bool) -> float:
    """Of the pairs, those that would be a hit."""
    hits = (
        value >= threshold and (not is_guarded or is_let_through(pair)) for value, pair in zip(near, of, strict=True)
    )
    return sum(hits) / len(of)


def judge(name: str, path: Path) -> list[str]:
    """Print the table of one file; what is wrong at the default threshold."""
    same, other = pairs(path)
    near, far = similarities(same), similarities(other)
    print(f"{name}: {len(same)} mean the same, {len(other)} are near misses")
    print("threshold   hits  false hits   hits guarded  false hits guarded")
    for threshold in THRESHOLDS:
        columns = [share(near, same, threshold, is_guarded=False), share(far, other, threshold, is_guarded=False)]
        columns += [share(near, same, threshold, is_guarded=True), share(far, other, threshold, is_guarded=True)]
        mark = " <- default" if threshold == SemanticCacheConfig().threshold else ""
        print("{:9.2f} {:6.1%} {:11.1%} {:14.1%} {:19.1%}{}".format(threshold, *columns, mark))
    default = SemanticCacheConfig().threshold
    hits, wrong = share(near, same, default, is_guarded=True), share(far, other, default, is_guarded=True)
    problems = [f"{name}: false hits of {wrong:.1%}"] if wrong > MOST_FALSE_HITS else []
    return [*problems, f"{name}: hits of {hits:.1%} only"] if hits < LEAST_HITS else problems


def main() -> None:
    """Print both tables; exit 1 when the default is not good enough."""
    problems = [problem for name, path in PAIRS.items() for problem in judge(name, path)]
    prompts = [prompt for path in PAIRS.values() for pair in pairs(path)[0] for prompt in pair]
    began = time.perf_counter()
    for prompt in prompts:
        meaning_of(prompt)
    print(f"guards: {(time.perf_counter() - began) / len(prompts) * 1e6:.0f} us a prompt")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
