import logging
import socket
import subprocess
import sys

import pytest

from bridge.text_embedding import MAX_CHARS, LocalEmbedder, local_embedder

RELATED = [
    ("How do I reset my password?", "I forgot my password, how can I set a new one?"),
    ("What is the capital of France?", "Which city is France's capital?"),
    ("Translate this sentence to German.", "Give me a German translation of this sentence."),
    ("The stock market fell sharply today.", "Shares dropped a lot on the exchange this afternoon."),
]
UNRELATED = [
    ("How do I reset my password?", "The recipe needs two eggs and some flour."),
    ("What is the capital of France?", "Debug the segmentation fault in this C program."),
    ("Translate this sentence to German.", "The stock market fell sharply today."),
    ("My cat sleeps all day.", "Quarterly revenue grew by eight percent."),
]


def similarity(one: str, other: str) -> float:
    first, second = local_embedder().embed([one, other])
    return sum(a * b for a, b in zip(first, second, strict=True))


def test_every_related_pair_scores_above_every_unrelated_one() -> None:
    related = [similarity(*pair) for pair in RELATED]
    unrelated = [similarity(*pair) for pair in UNRELATED]

    assert min(related) > max(unrelated) + 0.1


def test_vectors_have_unit_length_and_keep_the_order_of_the_texts() -> None:
    texts = ["a dog", "a much longer sentence about trains that leave on time", "a dog"]

    vectors = local_embedder().embed(texts)

    assert [len(vector) for vector in vectors] == [256, 256, 256]
    assert [sum(x * x for x in vector) for vector in vectors] == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
    assert vectors[0] == vectors[2] != vectors[1]


def test_a_text_without_words_is_like_nothing() -> None:
    empty, word = local_embedder().embed(["", "word"])

    assert not any(empty)
    assert any(word)
    assert local_embedder().embed([]) == []


def test_only_the_beginning_of_a_very_long_text_is_read() -> None:
    start = "cats and dogs " * (MAX_CHARS // 14 + 1)

    one, other = local_embedder().embed([start[:MAX_CHARS], start[:MAX_CHARS] + " quarterly revenue" * 500])

    assert one == other


def test_it_is_one_for_the_process() -> None:
    assert local_embedder() is local_embedder()


def test_loading_and_embedding_use_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    embedder = LocalEmbedder()
    assert not embedder.is_loaded

    assert len(embedder.embed(["offline"])) == 1
    assert embedder.is_loaded


def test_loading_leaves_the_logging_of_the_process_alone() -> None:
    script = (
        "import logging\nfrom bridge.text_embedding import local_embedder\nlocal_embedder().embed(['x'])\n"
        "root = logging.getLogger()\nassert root.handlers == [] and root.level == logging.WARNING, root.handlers\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert logging.getLogger("wordllama.wordllama").handlers == []
