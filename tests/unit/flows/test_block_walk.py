"""Cancels that come at awkward moments."""

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from nodes.context import ChatResult
from tests.support.engine import Engine, ScriptedModels, a_plan, paid, probe


class StoppingModels(ScriptedModels):
    """Stops the run while it answers."""

    engine: Engine

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        self.engine.lane.cancel("r1")
        return await super().chat(request, context)


async def test_a_step_that_is_cancelled_before_its_first_turn_ends_cancelled() -> None:
    models = StoppingModels()
    models.engine = engine = Engine(models)
    plan = a_plan(paid("first", with_={"prompt": "x"}), probe("second"), probe("third", "second"))

    run = await engine.start(plan)

    assert run.status == "cancelled"
    statuses = await engine.statuses()
    assert (statuses["second"], statuses["third"]) == ("cancelled:cancelled", "cancelled:cancelled")
