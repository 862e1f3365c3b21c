import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest

from bridge.simulation.virtual_time import RealWaitError, VirtualClock, VirtualTimeLoop, run_virtual

START = datetime(2026, 11, 27, tzinfo=UTC)


def test_a_day_of_sleep_takes_no_time() -> None:
    async def main(loop: VirtualTimeLoop) -> datetime:
        clock = VirtualClock(loop, START)
        await clock.sleep(86_400)
        return clock.now()

    began_s = time.perf_counter()

    assert run_virtual(main) == datetime(2026, 11, 28, tzinfo=UTC)
    assert time.perf_counter() - began_s < 0.5


def test_sleep_timeout_and_clock_agree() -> None:
    async def main(loop: VirtualTimeLoop) -> tuple[float, float]:
        clock = VirtualClock(loop, START)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)
        at_timeout_s = clock.monotonic()
        await asyncio.sleep(12.5)
        return at_timeout_s, (clock.now() - START).total_seconds()

    assert run_virtual(main) == pytest.approx((30.0, 42.5))


def test_tasks_wake_in_the_order_of_their_times() -> None:
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(asyncio.get_running_loop().time())

    async def main(loop: VirtualTimeLoop) -> None:
        del loop
        async with asyncio.TaskGroup() as tasks:
            for seconds in (50.0, 0.001, 86_399.5, 7.0):
                tasks.create_task(sleeper(seconds))

    run_virtual(main)

    assert woken == pytest.approx([0.001, 7.0, 50.0, 86_399.5])


def test_time_moves_on_after_years() -> None:
    async def main(loop: VirtualTimeLoop) -> float:
        await asyncio.sleep(1e9)
        await asyncio.sleep(1e-5)
        return loop.time()

    assert run_virtual(main) == pytest.approx(1e9)


def test_waiting_for_nothing_is_an_error() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        await loop.create_future()

    with pytest.raises(RealWaitError, match="can never come"):
        run_virtual(main)


def test_the_network_is_refused() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        del loop
        await asyncio.open_connection("127.0.0.1", 9)

    with pytest.raises(RealWaitError, match="no network"):
        run_virtual(main)


def test_a_socket_of_ones_own_is_refused() -> None:
    near, far = socket.socketpair()

    async def main(loop: VirtualTimeLoop) -> None:
        loop.add_reader(near, print)

    with near, far, pytest.raises(RealWaitError, match="no network"):
        run_virtual(main)


def test_threads_are_refused() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        del loop
        await asyncio.to_thread(time.sleep, 0)

    with pytest.raises(RealWaitError, match="wait for a thread"):
        run_virtual(main)


def test_subprocesses_are_refused() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        del loop
        await asyncio.create_subprocess_exec("true")

    with pytest.raises(RealWaitError, match="another process"):
        run_virtual(main)
