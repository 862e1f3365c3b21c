"""The artifact store in a folder and in a bucket, against the suite every store must pass, and in the application."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from bridge.identifiers import new_id
from nodes.artifacts import MAX_ARTIFACT_BYTES, ArtifactsUnavailableError, MissingArtifactError
from platform_api.artifact_settings import artifacts_of
from platform_api.artifacts.object_store import ArtifactsAddressError, ObjectArtifacts, open_artifacts
from platform_api.settings import Settings, SettingsError
from tests.contract.artifact_store_suite import ArtifactStoreSuite
from tests.support.peers import free_port

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "aws_region": "us-east-1"}


class TestInAFolder(ArtifactStoreSuite):
    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> ObjectArtifacts:
        return open_artifacts((tmp_path / "new folder").as_uri(), {})

    async def test_everything_of_an_organisation_lies_in_its_folder(
        self, artifacts: ObjectArtifacts, tmp_path: Path
    ) -> None:
        org_id = new_id()
        handle = await artifacts.put(org_id, b"x")
        await artifacts.set_name(org_id, "a/b", handle)

        digest = handle.removeprefix("sha256:")
        files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        base = f"new folder/org/{org_id}"
        assert files == {f"{base}/sha256/{digest[:2]}/{digest}", f"{base}/names/a/b~"}

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//b", ".", "x\0"])
    async def test_no_name_leads_out_of_it(self, artifacts: ObjectArtifacts, name: str) -> None:
        for step in (artifacts.set_name(new_id(), name, "sha256:" + "0" * 64), artifacts.named(new_id(), name)):
            with pytest.raises(MissingArtifactError):
                await step

    @pytest.mark.parametrize("org_id", ["../other", "", "acme"])
    async def test_an_organisation_is_known_by_its_id_only(self, artifacts: ObjectArtifacts, org_id: str) -> None:
        with pytest.raises(ValueError, match="UUID"):
            await artifacts.put(org_id, b"x")

    async def test_damaged_content_is_told(self, artifacts: ObjectArtifacts, tmp_path: Path) -> None:
        org_id = new_id()
        handle = await artifacts.put(org_id, b"right")
        [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
        file.write_bytes(b"wrong")

        with pytest.raises(MissingArtifactError, match="damaged"):
            await artifacts.get(org_id, handle)

    async def test_too_much_is_refused(self, artifacts: ObjectArtifacts) -> None:
        with pytest.raises(ValueError, match="at most"):
            await artifacts.put(new_id(), b"x" * (MAX_ARTIFACT_BYTES + 1))

    async def test_many_writers_of_the_same_content_agree(self, artifacts: ObjectArtifacts) -> None:
        org_id = new_id()
        handles = await asyncio.gather(*(artifacts.put(org_id, b"same" * 10_000) for _ in range(8)))

        assert len(set(handles)) == 1
        assert await artifacts.get(org_id, handles[0]) == b"same" * 10_000


@pytest.fixture(scope="module")
def bucket_endpoint() -> Iterator[str]:
    """A server that speaks S3, with the bucket `artifacts`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, **_boto_keys()).create_bucket(Bucket="artifacts")  # pyright: ignore[reportUnknownMemberType]  # untyped
        yield endpoint
    finally:
        server.stop()


def _boto_keys() -> dict[str, str]:
    return {"region_name": KEYS["aws_region"], **{k: KEYS[k] for k in ("aws_access_key_id", "aws_secret_access_key")}}


@pytest.mark.peer
class TestInABucket(ArtifactStoreSuite):
    @pytest.fixture
    def artifacts(self, bucket_endpoint: str) -> ObjectArtifacts:
        return open_artifacts("s3://artifacts/some/prefix", {**KEYS, "aws_endpoint": bucket_endpoint})

    async def test_two_processes_share_it(self, artifacts: ObjectArtifacts, bucket_endpoint: str) -> None:
        org_id = new_id()
        handle = await artifacts.put(org_id, b"x" * 1_000_000)
        other = open_artifacts("s3://artifacts/some/prefix", {**KEYS, "aws_endpoint": bucket_endpoint})

        assert await other.get(org_id, handle) == b"x" * 1_000_000

    async def test_a_bucket_that_is_not_there_may_come_back(self, bucket_endpoint: str) -> None:
        missing = open_artifacts("s3://nowhere", {**KEYS, "aws_endpoint": bucket_endpoint})

        with pytest.raises(ArtifactsUnavailableError) as caught:
            await missing.put(new_id(), b"x")
        assert caught.value.error_class == "unavailable"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("artifacts", {}),
        ("http://somewhere/x", {}),
        ("file://host/folder", {}),
        ("file:relative", {}),
        ("s3://", {}),
        ("s3://bucket", {"aws_endpoint": "http://minio.example:9000"}),
        ("s3://bucket", {"no_such_option": "x"}),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, options: dict[str, str]) -> None:
    with pytest.raises(ArtifactsAddressError, match="artifacts"):
        open_artifacts(url, options)


async def test_the_settings_name_the_place_and_the_home_is_the_default(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    file = tmp_path / "modelbridge.yaml"
    org_id = new_id()

    await artifacts_of(_settings(home, file, "")).put(org_id, b"x")
    await artifacts_of(_settings(home, file, f"artifacts: {{url: '{elsewhere.as_uri()}'}}\n")).put(org_id, b"x")

    assert (home / "artifacts" / "org" / org_id).is_dir()
    assert (elsewhere / "org" / org_id).is_dir()
    with pytest.raises(SettingsError, match=r"artifacts\.url: take file:///folder or s3://bucket"):
        artifacts_of(_settings(home, file, "artifacts: {url: ftp://x}\n"))


def _settings(home: Path, file: Path, text: str) -> Settings:
    file.write_text(text, encoding="utf-8")
    return Settings.from_environment({"MODELBRIDGE_HOME": str(home), "MODELBRIDGE_CONFIG": str(file)})
