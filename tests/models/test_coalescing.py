"""Requests for vectors that share calls: few calls, each its own vectors, and nobody pays for another's bad text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import CallError, ContextOverflow, InvalidRequest, InvalidResponse, Stopped, Unavailable
from toolkit.models import coalescing
from toolkit.models.coalescing import Call, Coalescer, gathered, parted, shares
from toolkit.records import Reply, Request, Usage

T = TypeVar("T")


def embed(*texts: str) -> Request:
    return Request(operation="embeddings", inputs=texts)


def replied(request: Request, *, tokens: int = 100, cost_usd: float | None = None) -> Reply:
    """A reply whose vectors tell which text they are of."""
    return Reply(vectors=tuple((float(text),) for text in request.inputs), usage=Usage(tokens), cost_usd=cost_usd)


class Server:
    """Answers calls, remembers them, and fails where it is told to."""

    def __init__(self, fails: Callable[[Request], CallError | None] = lambda _: None, *, seconds: float = 0.0) -> None:
        self.calls: list[Request] = []
        self.ended = 0
        self._fails = fails
        self._seconds = seconds

    async def __call__(self, request: Request, let_in: Callable[[], None]) -> Call:
        let_in()
        self.calls.append(request)
        await asyncio.sleep(self._seconds)
        self.ended += 1
        error = self._fails(request)
        return Call(1.0, 2.0, error=error) if error else Call(1.0, 2.0, replied(request))


def during(work: Callable[[], Awaitable[T]]) -> T:
    async def go() -> T:
        return await asyncio.wait_for(work(), 20)

    return asyncio.run(go())


def vectors_of(calls: Sequence[Call]) -> list[float | None]:
    return [None if call.reply is None else call.reply.vectors[0][0] for call in calls]


async def ask(coalescer: Coalescer, count: int) -> list[Call]:
    return await asyncio.gather(*(coalescer.call(embed(str(number))) for number in range(count)))


# ---------------------------------------------------------------------------------------------------------------- pure
@given(st.integers(0, 10_000), st.lists(st.integers(0, 1_000), min_size=1, max_size=80).filter(any))
def test_shares_add_up_and_are_off_by_less_than_one(total: int, weights: list[int]) -> None:
    parts = shares(total, weights)
    assert sum(parts) == total
    exact = (total * weight / sum(weights) for weight in weights)
    assert all(abs(part - wanted) < 1 for part, wanted in zip(parts, exact, strict=True))


_requests = st.lists(
    st.lists(st.text(max_size=30), min_size=1, max_size=4).map(lambda t: embed(*t)), min_size=1, max_size=9
)


@given(_requests, st.integers(0, 5_000), st.data())
def test_each_gets_its_own_vectors_and_the_tokens_add_up(
    requests: list[Request], tokens: int, data: st.DataObject
) -> None:
    whole, cached = gathered(requests), data.draw(st.none() | st.integers(0, tokens))
    reply = Reply(
        vectors=tuple((float(place),) for place in range(len(whole.inputs))),
        usage=Usage(tokens, 0, cached),
        cost_usd=1.0,
    )
    parts = parted(reply, requests)
    assert [vector for part in parts for vector in part.vectors] == list(reply.vectors)
    assert [len(part.vectors) for part in parts] == [len(request.inputs) for request in requests]
    usages = [part.usage for part in parts]
    assert sum(usage.input_tokens or 0 for usage in usages) == tokens
    assert sum(part.cost_usd or 0.0 for part in parts) == pytest.approx(1.0)
    if cached is not None:
        assert sum(usage.cache_read_input_tokens or 0 for usage in usages) == cached
        assert all((usage.cache_read_input_tokens or 0) <= (usage.input_tokens or 0) for usage in usages)


def test_those_who_shared_a_call_have_the_same_response_id_and_unknown_tokens_stay_unknown() -> None:
    reply = Reply(vectors=((0.0,), (1.0,)))
    first, second = parted(reply, [embed("0"), embed("1")])
    assert first.response_id == second.response_id is not None
    assert first.usage == Usage()
    assert parted(Reply(vectors=((0.0,),)), [embed("0")])[0].response_id is None


# -------------------------------------------------------------------------------------------------------------- acting
def test_requests_at_the_same_time_are_few_calls_and_each_gets_its_own_vector() -> None:
    async def work() -> None:
        server = Server()
        assert vectors_of(await ask(Coalescer(server, most=64), 400)) == [float(number) for number in range(400)]
        assert len(server.calls) == 7
        assert max(len(call.inputs) for call in server.calls) == 64

    during(work)


def test_a_request_alone_is_sent_as_it_is() -> None:
    async def work() -> None:
        server = Server()
        (call,) = await ask(Coalescer(server, most=64), 1)
        assert call == Call(1.0, 2.0, replied(embed("0")))

    during(work)


def test_a_request_larger_than_a_call_goes_alone() -> None:
    async def work() -> None:
        server = Server()
        coalescer = Coalescer(server, most=3)
        await asyncio.gather(*(coalescer.call(embed(*texts)) for texts in (("1", "2"), ("3", "4"), "56789")))
        assert [call.inputs for call in server.calls] == [("1", "2"), ("3", "4"), tuple("56789")]

    during(work)


def test_a_call_is_no_longer_than_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        server = Server()
        await asyncio.gather(*map(Coalescer(server, most=64).call, [embed("1" * 60)] * 6))
        assert [len(call.inputs) for call in server.calls] == [2, 2, 2]

    monkeypatch.setattr(coalescing, "MOST_BYTES", 120)
    during(work)


def test_requests_that_are_not_alike_share_no_call() -> None:
    async def work() -> None:
        server = Server()
        coalescer = Coalescer(server, most=64)
        await asyncio.gather(coalescer.call(embed("1")), coalescer.call(embed("2").with_options(needs=("german",))))
        assert sorted(call.inputs for call in server.calls) == [("1",), ("2",)]

    during(work)


def test_what_comes_while_a_call_waits_at_the_door_goes_together_in_the_next() -> None:
    async def work() -> None:
        opened, calls = asyncio.Event(), list[Request]()

        async def behind_a_door(request: Request, let_in: Callable[[], None]) -> Call:
            calls.append(request)
            await opened.wait()
            let_in()
            return Call(1.0, 2.0, replied(request))

        coalescer = Coalescer(behind_a_door, most=64)
        asked = []
        for number in range(5):
            asked.append(asyncio.create_task(coalescer.call(embed(str(number)))))
            await asyncio.sleep(0.02)
        assert len(calls) == 1
        opened.set()
        await asyncio.gather(*asked)
        assert [len(call.inputs) for call in calls] == [1, 4]

    during(work)


@pytest.mark.parametrize("error", [InvalidRequest("400"), ContextOverflow("413"), InvalidResponse("odd")])
def test_one_bad_text_fails_alone(error: CallError) -> None:
    async def work() -> None:
        server = Server(lambda request: error if "13" in request.inputs else None)
        calls = await ask(Coalescer(server, most=64), 64)
        assert vectors_of(calls) == [None if number == 13 else float(number) for number in range(64)]
        assert calls[13].error is error
        assert len(server.calls) == 1 + 2 * 6

    during(work)


def test_an_error_of_the_service_is_everybodys_and_is_not_tried_again_here() -> None:
    async def work() -> None:
        server = Server(lambda _: Unavailable("502"))
        assert {str(call.error) for call in await ask(Coalescer(server, most=64), 20)} == {"502"}
        assert len(server.calls) == 1

    during(work)


def test_where_vectors_are_missing_nobody_gets_anothers() -> None:
    async def work() -> None:
        async def short(request: Request, _let_in: Callable[[], None]) -> Call:
            return Call(1.0, 2.0, replied(embed(request.inputs[0])))

        assert vectors_of(await ask(Coalescer(short, most=64), 4)) == [0.0, 1.0, 2.0, 3.0]

    during(work)


def test_who_is_cancelled_leaves_the_others_their_call_and_the_last_one_ends_it() -> None:
    async def work() -> None:
        server = Server(seconds=0.05)
        coalescer = Coalescer(server, most=3)
        asked = [asyncio.create_task(coalescer.call(embed(str(number)))) for number in range(3)]
        await asyncio.sleep(0.01)
        asked[0].cancel()
        assert vectors_of(await asyncio.gather(*asked[1:])) == [1.0, 2.0]
        lonely = asyncio.create_task(coalescer.call(embed("4")))
        await asyncio.sleep(0.02)
        lonely.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lonely
        await asyncio.sleep(0.1)
        assert (len(server.calls), server.ended) == (2, 1)

    during(work)


def test_what_ends_the_run_reaches_everybody() -> None:
    async def work() -> None:
        async def stopped(_request: Request, _let_in: Callable[[], None]) -> Call:
            raise Stopped("the run was cancelled")

        coalescer = Coalescer(stopped, most=64)
        asked = [asyncio.create_task(coalescer.call(embed(str(number)))) for number in range(3)]
        for task in asked:
            with pytest.raises(Stopped):
                await task

    during(work)
