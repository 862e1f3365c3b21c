"""What every RunStore must do. A test file gives `store`, `clock` and `enter`, and inherits RunStoreSuite.

`enter(status=...)` stores a new run of organisation `org_id` and answers it; `clock` is a FrozenClock the store reads.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bridge.clock import FrozenClock
from flows.recorded_calls import RecordedCall
from flows.recordings import Recording
from flows.runs import Run, RunOwner, RunStore, StaleOwnerError, StepError, StepRun

Enter = Callable[[], Awaitable[Run]]


def step(path: str, **fields: object) -> StepRun:
    base = StepRun(path=path, step=path.partition("[")[0], type="template", status="succeeded")
    return replace(base, **fields)  # pyright: ignore[reportArgumentType]  # fields of StepRun, by name


class RunStoreSuite:
    """Inherit, and provide the fixtures `store`, `clock`, `enter`."""

    async def taken(self, store: RunStore, enter: Enter, owner: str = "a") -> tuple[Run, RunOwner]:
        run = await enter()
        held = await store.acquire(run.id, owner, lease_s=30)
        assert held is not None
        return run, held

    async def test_an_unknown_run_is_none_and_has_no_steps(self, store: RunStore, enter: Enter) -> None:
        run = await enter()
        unknown = run.id[:-4] + ("0000" if run.id[-4:] != "0000" else "1111")

        assert await store.load(unknown) is None
        assert list(await store.steps(unknown)) == []
        assert await store.acquire(unknown, "a") is None
        assert await store.is_cancel_requested(unknown) is False

    async def test_taking_a_run_raises_its_epoch_by_one(self, store: RunStore, enter: Enter) -> None:
        run, held = await self.taken(store, enter)
        stored = await store.load(run.id)

        assert stored is not None
        assert (held.epoch, stored.epoch, stored.owner) == (1, 1, "a")

    async def test_a_living_lease_keeps_others_out(self, store: RunStore, enter: Enter, clock: FrozenClock) -> None:
        run, _ = await self.taken(store, enter)
        clock.advance(29)

        assert await store.acquire(run.id, "b") is None

    async def test_a_lapsed_lease_may_be_taken_over(self, store: RunStore, enter: Enter, clock: FrozenClock) -> None:
        run, _ = await self.taken(store, enter)
        clock.advance(31)
        held = await store.acquire(run.id, "b")

        assert held is not None
        assert held.epoch == 2

    async def test_the_same_owner_may_take_its_run_again(self, store: RunStore, enter: Enter) -> None:
        run, _ = await self.taken(store, enter)
        again = await store.acquire(run.id, "a")

        assert again is not None
        assert again.epoch == 2

    async def test_renewing_keeps_the_run(self, store: RunStore, enter: Enter, clock: FrozenClock) -> None:
        run, held = await self.taken(store, enter)
        clock.advance(20)
        assert await store.renew(held, lease_s=30) is False
        clock.advance(20)

        assert await store.acquire(run.id, "b") is None

    async def test_a_stale_owner_changes_nothing(self, store: RunStore, enter: Enter, clock: FrozenClock) -> None:
        run, stale = await self.taken(store, enter)
        clock.advance(31)
        assert await store.acquire(run.id, "b") is not None
        before = (await store.load(run.id), list(await store.events(run.id)))

        with pytest.raises(StaleOwnerError):
            await store.save_steps(stale, [step("x")])
        with pytest.raises(StaleOwnerError):
            await store.save_run(stale, replace(run, status="succeeded"))
        with pytest.raises(StaleOwnerError):
            await store.renew(stale)

        assert (await store.load(run.id), list(await store.events(run.id))) == before
        assert list(await store.steps(run.id)) == []

    async def test_an_older_epoch_of_the_same_owner_is_stale_too(self, store: RunStore, enter: Enter) -> None:
        run, old = await self.taken(store, enter)
        assert await store.acquire(run.id, "a") is not None

        with pytest.raises(StaleOwnerError):
            await store.save_steps(old, [step("x")])

    async def test_a_step_comes_back_as_it_was_stored(self, store: RunStore, enter: Enter, clock: FrozenClock) -> None:
        run, held = await self.taken(store, enter)
        now: datetime = clock.now()
        full = StepRun(
            path="outer[2].inner",
            step="inner",
            type="llm",
            status="failed",
            reason=None,
            attempts=3,
            output={"text": "ü\n", "n": 1, "x": 1.5, "none": None, "list": [True]},
            error=StepError("rate_limit", "slow down", "inner", "outer[2].inner", attempt=3, item_index=2),
            is_error_handled=True,
            item_errors=(StepError("user", "no", "inner", "inner[0]", item_index=0),),
            started_at=now,
            finished_at=now,
            cost_nano_usd=12_345,
            model="mock/m",
            provider="mock",
            call_ids=("c1", "c2"),
            fingerprint="f",
            is_cached=True,
            taken=("rescue",),
        )
        await store.save_steps(held, [full, step("other", cost_nano_usd=None)])

        stored = {one.path: one for one in await store.steps(run.id)}
        assert stored["outer[2].inner"] == full
        assert stored["other"].cost_nano_usd is None

    async def test_the_last_state_of_a_path_wins_and_saving_twice_is_harmless(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)
        await store.save_steps(held, [step("x", status="running")])
        await store.save_steps(held, [step("x", attempts=1)])
        await store.save_steps(held, [step("x", attempts=1)])

        assert [(one.path, one.status, one.attempts) for one in await store.steps(run.id)] == [("x", "succeeded", 1)]

    async def test_events_are_numbered_without_gaps_in_the_order_of_writing(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)
        first = await store.save_run(held, replace(run, status="running"))
        second = await store.save_steps(held, [step("x"), step("y")])
        stored = list(await store.events(run.id))

        assert [event.seq for event in stored] == [1, 2, 3]
        assert [event.kind for event in stored] == ["run", "step", "step"]
        assert [event.body.get("path") for event in stored] == [None, "x", "y"]
        assert [event.seq for event in (*first, *second)] == [1, 2, 3]
        assert [event.seq for event in await store.events(run.id, after_seq=2)] == [3]

    async def test_events_of_the_next_owner_go_on_where_the_last_ones_ended(
        self, store: RunStore, enter: Enter, clock: FrozenClock
    ) -> None:
        run, held = await self.taken(store, enter)
        await store.save_steps(held, [step("x")])
        clock.advance(31)
        taken_over = await store.acquire(run.id, "b")
        assert taken_over is not None
        await store.save_steps(taken_over, [step("y")])

        assert [event.seq for event in await store.events(run.id)] == [1, 2]

    @pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "partial"])
    async def test_a_final_status_releases_the_lease_for_good(self, store: RunStore, enter: Enter, status: str) -> None:
        run, held = await self.taken(store, enter)
        error = StepError("user", "no", "x", "x")
        ended = replace(run, status=status, outputs={"a": [1]}, errors=(error,), cost_nano_usd=7)  # pyright: ignore[reportArgumentType]  # a RunStatus
        await store.save_run(held, ended)
        stored = await store.load(run.id)

        assert stored is not None
        assert (stored.status, stored.outputs, stored.errors, stored.cost_nano_usd) == (status, {"a": [1]}, (error,), 7)
        assert (stored.owner, stored.lease_until) == (None, None)
        assert await store.acquire(run.id, "b") is None

    async def test_a_waiting_run_tells_until_when_and_for_how_long_it_has_waited(
        self, store: RunStore, enter: Enter, clock: FrozenClock
    ) -> None:
        run, held = await self.taken(store, enter)
        now = clock.now()
        waiting = replace(run, status="waiting", wake_at=now + timedelta(hours=1), waiting_since=now, waited_s=2.5)
        await store.save_run(held, waiting)
        stored = await store.load(run.id)

        assert stored is not None
        assert (stored.wake_at, stored.waiting_since, stored.waited_s) == (now + timedelta(hours=1), now, 2.5)

    @pytest.mark.parametrize("status", ["queued", "waiting"])
    async def test_a_run_given_back_may_be_taken_at_once(self, store: RunStore, enter: Enter, status: str) -> None:
        run, held = await self.taken(store, enter)
        await store.save_run(held, replace(run, status=status, prefect_run_id=None))  # pyright: ignore[reportArgumentType]  # a RunStatus
        stored = await store.load(run.id)
        taken = await store.acquire(run.id, "b")

        assert stored is not None
        assert (stored.owner, stored.lease_until, stored.prefect_run_id) == (None, None, None)
        assert taken is not None
        assert taken.epoch == 2

    async def test_saving_a_run_does_not_touch_what_the_engine_does_not_decide(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)
        await store.request_cancel(run.org_id, run.id)
        await store.save_run(held, replace(run, status="running", is_cancel_requested=False, owner=None, epoch=0))
        stored = await store.load(run.id)

        assert stored is not None
        assert (stored.is_cancel_requested, stored.owner, stored.epoch) == (True, "a", 1)

    async def test_a_cancel_request_is_seen_by_the_owner_and_by_whoever_asks(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)

        assert await store.request_cancel(run.org_id, run.id) is True
        assert await store.is_cancel_requested(run.id) is True
        assert await store.renew(held) is True

    async def test_only_the_own_organisation_may_cancel_and_only_while_it_matters(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)
        foreign = run.org_id[:-4] + ("0000" if run.org_id[-4:] != "0000" else "1111")

        assert await store.request_cancel(foreign, run.id) is False
        await store.save_run(held, replace(run, status="succeeded"))
        assert await store.request_cancel(run.org_id, run.id) is False
        assert await store.is_cancel_requested(run.id) is False

    async def test_recordings_come_back_with_keys_in_their_order_and_stand_apart_from_outcomes(
        self, store: RunStore, enter: Enter
    ) -> None:
        run, held = await self.taken(store, enter)
        call = RecordedCall("f1", {"model": "m"}, {"text": "z\x00ü"}, {"b": 1, "a": [None]}, None, {"attempts": []})
        recording = Recording(
            path="x", type="llm", digest="d", given={"z": 1, "a": 2}, calls=(call,), output_text='{"b": 1, "a": 2}'
        )
        await store.save_steps(held, [step("x", recording=recording), step("y")])

        [kept] = await store.recordings(run.id)
        assert kept == recording
        assert list(kept.given) == ["z", "a"]
        assert [one.recording for one in await store.steps(run.id) if one.path == "y"] == [None]
