"""`nodes.artifacts.ArtifactStore` over a folder or an S3-compatible bucket. The only importer of obstore.

Everything of an organisation lies under `org/ID/`: content under `sha256/`, names under `names/` as small objects that
hold a handle. An object is written whole or not at all, so that a reader never meets half of one.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from nodes.artifacts import (
    HANDLE,
    MAX_ARTIFACT_BYTES,
    ArtifactsUnavailableError,
    MissingArtifactError,
    name_problem,
)

TIMEOUT_S = 60.0
RETRY_S = 20.0


class ArtifactsAddressError(ValueError):
    """The address of the store cannot be used; the text says what one looks like."""


class ObjectArtifacts:
    """ArtifactStore in an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, org_id: str, content: bytes) -> str:
        if len(content) > MAX_ARTIFACT_BYTES:
            raise ValueError(f"an artifact has at most {MAX_ARTIFACT_BYTES} bytes, not {len(content)}")
        digest = await asyncio.to_thread(_sha256, content)
        key = _content_key(org_id, digest)
        try:
            found = await obstore.head_async(self._store, key)
            if found["size"] == len(content):
                return f"sha256:{digest}"
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        await self._written(key, content)
        return f"sha256:{digest}"

    async def get(self, org_id: str, handle: str) -> bytes:
        if HANDLE.fullmatch(handle) is None:
            raise MissingArtifactError(f"{handle[:80]!r} is no handle of an artifact")
        digest = handle.removeprefix("sha256:")
        content = await self._read(_content_key(org_id, digest))
        if content is None:
            raise MissingArtifactError(f"there is no artifact {handle}")
        if await asyncio.to_thread(_sha256, content) != digest:
            raise MissingArtifactError(f"artifact {handle} is damaged: its content has another hash")
        return content

    async def set_name(self, org_id: str, name: str, handle: str) -> None:
        await self._written(_name_key(org_id, name), handle.encode())

    async def named(self, org_id: str, name: str) -> str | None:
        content = await self._read(_name_key(org_id, name))
        return None if content is None else content.decode()

    async def _written(self, key: str, content: bytes) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await obstore.put_async(self._store, key, content)
        except (BaseError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def _read(self, key: str) -> bytes | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error


def open_artifacts(url: str, options: Mapping[str, str]) -> ObjectArtifacts:
    """The store at `file:///folder` (made when it is missing) or `s3://bucket/prefix`.

    `options` of S3 are those of its clients: `aws_access_key_id`, `aws_secret_access_key`, `aws_region`, and for others
    than Amazon `aws_endpoint` (`http:` only on this machine). Nothing is reached yet.

    Raises:
        ArtifactsAddressError: The address or an option cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        folder = Path(unquote(parts.path))
        try:
            return ObjectArtifacts(LocalStore(prefix=folder, mkdir=True))
        except (BaseError, OSError) as error:
            raise ArtifactsAddressError(f"artifacts.url: {folder} cannot be used: {error}") from error
    if parts.scheme == "s3" and parts.netloc:
        return ObjectArtifacts(_s3(url, options))
    raise ArtifactsAddressError("artifacts.url: take file:///folder or s3://bucket/prefix")


def _s3(url: str, options: Mapping[str, str]) -> ObjectStore:
    endpoint = options.get("aws_endpoint", "")
    host = urlsplit(endpoint).hostname
    may_be_plain = endpoint.startswith("http://") and host in {"127.0.0.1", "localhost", "::1"}
    if endpoint and not (may_be_plain or endpoint.startswith("https://")):
        raise ArtifactsAddressError("artifacts.options: aws_endpoint is https:, or http: on this machine")
    try:
        return S3Store.from_url(
            url,
            config=cast("Any", dict(options)),
            client_options={"timeout": timedelta(seconds=TIMEOUT_S), "allow_http": may_be_plain},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
        )
    except BaseError as error:
        raise ArtifactsAddressError(f"artifacts: the S3 store cannot be used: {_first_line(error)}") from error


def _content_key(org_id: str, digest: str) -> str:
    return f"org/{UUID(org_id)}/sha256/{digest[:2]}/{digest}"


def _name_key(org_id: str, name: str) -> str:
    """Raises MissingArtifactError when the name could lead elsewhere."""
    problem = name_problem(name)
    if problem:
        raise MissingArtifactError(problem)
    return f"org/{UUID(org_id)}/names/{name}~"  # no name ends so: `a` is a file, `a/` a folder, and both can be


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unavailable(error: Exception) -> ArtifactsUnavailableError:
    return ArtifactsUnavailableError(f"the artifact store cannot be used now: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n", maxsplit=1)[0][:300]
