import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from nodes.errors import NodeError
from nodes.http_body import read_body

TEXT = b"hello " * 1_000


async def pieces(content: bytes, size: int = 512) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("GZIP", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
)
async def test_bodies_are_decoded(encoding: str, content: bytes) -> None:
    assert await read_body(pieces(content), encoding, len(TEXT)) == TEXT


async def test_a_body_of_nothing_is_nothing() -> None:
    assert await read_body(pieces(b""), "gzip", 10) == b""


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_the_limit_counts_decoded_bytes(encoding: str) -> None:
    content = gzip.compress(TEXT, mtime=0) if encoding else TEXT

    with pytest.raises(NodeError, match="bigger than 5999 bytes") as caught:
        await read_body(pieces(content), encoding, len(TEXT) - 1)
    assert caught.value.error_class == "invalid_request"


async def test_a_small_body_that_unpacks_to_much_more_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)

    with pytest.raises(NodeError, match="bigger than"):
        await read_body(pieces(bomb, 64 * 1024), "gzip", 1_000)


@pytest.mark.parametrize(
    ("encoding", "content", "problem"),
    [
        ("br", b"x", "not asked for"),
        ("gzip, gzip", b"x", "not asked for"),
        ("gzip", b"no gzip at all", "not compressed as it says"),
        ("deflate", b"\xff\xff\xff", "not compressed as it says"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-20], "ends too early"),
    ],
)
async def test_a_body_that_is_not_what_it_says_fails_as_unavailable(
    encoding: str, content: bytes, problem: str
) -> None:
    with pytest.raises(NodeError, match=problem) as caught:
        await read_body(pieces(content), encoding, 10_000)
    assert caught.value.error_class == "unavailable"
