import asyncio
import threading

from edge_detector.threads import Worker, in_thread

DEADLINE_SECONDS = 20.0


def test_a_call_whose_caller_has_left_ends_in_silence() -> None:
    begun, released = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        released.wait(DEADLINE_SECONDS)
        return "late"

    future = in_thread(slow, "slow call")

    async def leave() -> None:
        waiting = asyncio.wrap_future(future)
        await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
        waiting.cancel()
        await asyncio.sleep(0)

    asyncio.run(leave())
    released.set()
    assert future.result(DEADLINE_SECONDS) == "late"


def test_a_queued_call_that_is_cancelled_is_left_out_and_the_next_one_runs() -> None:
    worker, released = Worker("calls"), threading.Event()
    worker(lambda: released.wait(DEADLINE_SECONDS))
    calls: list[str] = []
    cancelled = worker(lambda: calls.append("cancelled"))
    after = worker(lambda: calls.append("after"))
    assert cancelled.cancel()
    released.set()
    after.result(DEADLINE_SECONDS)
    assert calls == ["after"]
