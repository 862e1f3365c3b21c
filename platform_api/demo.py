"""The demo of `modelbridge up`: publish one flow and trigger it over REST, as any client would."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

import platform_api

FLOW_FILE = "support_triage.yaml"
TICKET = "My invoice is wrong: I was charged twice in November."
WAIT_S = 90


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """What the demo run gave."""

    run_id: str
    status: str
    outputs: dict[str, Any]
    cost_usd: float | None
    models: tuple[str, ...]
    errors: tuple[str, ...]


def examples_folder() -> Path:
    """Where the example flows are: beside the packages in a checkout, inside the package when installed."""
    package = Path(platform_api.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"


async def run_demo(api_url: str, key: str, *, ticket: str = TICKET) -> DemoAnswer:
    """Publish the demo flow if it is new and run it once. Raises httpx.HTTPError when the API does not answer."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers, timeout=WAIT_S + 30) as client:
        text = (examples_folder() / FLOW_FILE).read_text(encoding="utf-8")
        created = _answer(await client.post("/api/flows", json={"yaml": text}))
        flow, version = created["name"], created["version"]
        if created["status"] != "published":
            _answer(await client.post(f"/api/flows/{flow}/publish", json={"version": version}))
        run = _answer(
            await client.post(
                f"/api/flows/{flow}/runs",
                params={"wait": WAIT_S},
                json={"inputs": {"ticket": ticket}},
                headers={"idempotency-key": secrets.token_hex(16)},
            )
        )
        whole = _answer(await client.get(f"/api/runs/{run['run_id']}"))
    steps = cast("dict[str, dict[str, Any]]", whole["steps"])
    models = dict.fromkeys(f"{step['model']}" for step in steps.values() if step.get("model"))
    return DemoAnswer(
        run_id=run["run_id"],
        status=run["status"],
        outputs=run["outputs"] or {},
        cost_usd=run["cost_usd"],
        models=tuple(models),
        errors=tuple(f"{error['node']}: {error['message']}" for error in run["errors"]),
    )


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise httpx.HTTPStatusError(
            f"{response.request.method} {response.request.url.path} answered {response.status_code}: "
            f"{response.text[:500]}",
            request=response.request,
            response=response,
        )
    return cast("dict[str, Any]", response.json())
