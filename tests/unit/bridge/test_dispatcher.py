import json

from bridge.call_record import CallContext
from bridge.providers.mock import MockTransport
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest
from tests.support.bridge_calls import CONTEXT, asking, bench


class KeptRequests(MockTransport):
    """The mock, with the bodies it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, object]] = []

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        self.bodies.append(json.loads(json.dumps(request.body)))
        return await super().send(request, target, limits=limits)


LIMITED = {
    "models": {"mock/small": {"max_output_tokens": 50}},
    "aliases": {
        "brief": {"candidates": ["mock/a"], "max_tokens": 7},
        "small": {"candidates": ["mock/small"], "max_tokens": 70},
    },
}


async def sent_limit(model: str, max_output_tokens: int | None = None) -> object:
    kept = KeptRequests()
    one = bench(sections=LIMITED, transports={"mock": kept})
    await one.bridge.chat(asking(model, max_output_tokens=max_output_tokens), CONTEXT)
    body = kept.bodies[0]
    return body.get("max_tokens", body.get("max_completion_tokens"))


async def test_the_output_limit_is_the_requests_else_the_aliases_else_none() -> None:
    assert await sent_limit("brief", max_output_tokens=3) == 3
    assert await sent_limit("brief") == 7
    assert await sent_limit("mock/a") is None


async def test_a_limit_is_cut_to_what_the_model_can_answer() -> None:
    assert await sent_limit("small") == 50
    assert await sent_limit("mock/small", max_output_tokens=4096) == 50


async def test_the_task_is_the_callers_else_the_name_that_was_asked_for() -> None:
    one = bench(sections=LIMITED)

    assert one.bridge.decide(asking("brief"), CONTEXT).task == "brief"
    assert one.bridge.decide(asking("brief"), CallContext(org_id="o", task="triage")).task == "triage"


async def test_predictions_and_bounds_answer_for_aliases_and_models() -> None:
    priced = {
        "models": {
            "mock/cheap": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
            "mock/dear": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20},
            "acme/unknown": {},
        },
        "providers": {"mock": {}, "acme": {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1"}},
        "aliases": {"both": {"policy": "cheapest", "candidates": ["mock/cheap", "mock/dear"]}},
    }
    bridge = bench(sections=priced).bridge

    assert bridge.worst_case_nano_usd("both", max_input_bytes=100, max_output_tokens=10) == 100 * 10_000 + 10 * 20_000
    assert bridge.expected_nano_usd("both", input_tokens=100, output_tokens=10) == 100 * 1000 + 10 * 2000
    assert bridge.worst_case_nano_usd("acme/unknown", max_input_bytes=1, max_output_tokens=1) is None
    assert bridge.expected_nano_usd("acme/unknown", input_tokens=1, output_tokens=1) is None


async def test_an_embedding_model_has_an_expected_cost_though_no_chat_chooses_it() -> None:
    priced = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 0, "capabilities": ["embeddings"]}
    bridge = bench(sections={"models": {"mock/vectors": priced}, "providers": {"mock": {}}}).bridge

    assert bridge.expected_nano_usd("mock/vectors", input_tokens=7, output_tokens=0) == 7_000
