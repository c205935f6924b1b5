"""Fitting in a run: what is dropped is on record, what is asked on the way too, and an overflow is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over, said, tickets
from toolkit import (
    CutMiddle,
    DropOldest,
    Fallback,
    Fleet,
    Ladder,
    ModelSpec,
    Refit,
    Repair,
    Reply,
    Request,
    Retrieve,
    Summarise,
    Workflow,
    fake,
    prompt,
    step,
)
from toolkit.asking.fitting import Fitter
from toolkit.asking.questions import Plan, Question
from toolkit.context import CannotFit, Fit
from toolkit.errors import ContextOverflow, Unavailable
from toolkit.forecasts.planning import facts_of, planned
from toolkit.messages import Data, Media, Message, Text
from toolkit.policies import Facts, Policy, Try
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens
from toolkit.records import Place, Usage
from toolkit.routing import Router
from toolkit.runs.running import Running

DROPPED = "select dropped from attempts where step = 'w/reply' order by row_id, number"
LONG = "x" * 5000


def replying(fit: Fit | None = None, policy: Policy | None = None, route: Router = SMALL, **options: Any) -> Workflow:
    @step(route=route, policy=policy, fit=fit, **options)
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    return Workflow("w", [reply])


def chatting(fit: Fit, turns: int = 6) -> Workflow:
    """A conversation of a row with a model, each turn with all that was said before."""

    @step(route=SMALL, fit=fit)
    def reply(ticket: str) -> Generator[Request, Reply, str]:
        told: list[Message] = [Message("system", (Text("Be kind."),))]
        for turn in range(turns):
            told.append(Message("user", (Text(f"{turn} {ticket} ".ljust(400, "q")),)))
            answer = yield Request(tuple(told))
            told.append(Message("assistant", (Text(answer.text),)))
        return answer.text

    return Workflow("w", [reply])


def windowed(model: Callable[[Request], Any], window: int | None, **others: Callable[[Request], Any]) -> Fleet:
    capabilities = ("chat", "json", "embed")
    return fleet_of(**others).with_function("small", model, window=window, capabilities=capabilities)


def dropped(run: Running) -> list[Any]:
    return [None if told is None else orjson.loads(told) for told in column(run, DROPPED)]


def attempts(run: Running) -> list[tuple[Any, ...]]:
    return list(run.sql("select model, why, error_type from attempts order by row_id, number").rows)


# ----------------------------------------------------------------------------------------------------- what is dropped
def test_what_was_cut_is_on_record_and_so_is_the_prompt_as_sent(tmp_path: Path) -> None:
    model = Model()
    run = run_over(replying(CutMiddle()), [{"ticket": LONG}], windowed(model, 500), tmp_path)
    (((lost),),) = dropped(run)
    sent = model.requests[0].messages[1].parts[0]
    assert isinstance(sent, Data)
    assert lost == {"section": "ticket", "bytes": 5000 - len(sent.text.encode()), "how": "cut in the middle"}
    assert prompt_tokens(model.requests[0], ESTIMATE) <= (500 - 250) / (1 + ESTIMATE.margin)
    assert "shortened to fit" in str(column(run, "select request from attempts_text")[0])


def test_where_nothing_is_dropped_nothing_is_told(tmp_path: Path) -> None:
    run = run_over(replying(CutMiddle()), tickets(1), windowed(Model(), 5000), tmp_path)
    assert dropped(run) == [None]


def test_old_turns_are_dropped_as_a_conversation_grows(tmp_path: Path) -> None:
    model = Model(said("an answer " * 40))
    run = run_over(chatting(DropOldest()), tickets(1), windowed(model, 800), tmp_path)
    assert [len(request.messages) for request in model.requests] == [2, 4, 4, 4, 4, 4]
    by_turn = column(run, "select dropped from attempts order by turn")
    assert [[each["section"] for each in orjson.loads(told or "[]")] for told in by_turn] == [
        [], [], ["messages[1:3]"], ["messages[1:3]", "messages[3:5]"],
        ["messages[1:3]", "messages[3:5]", "messages[5:7]"],
        ["messages[1:3]", "messages[3:5]", "messages[5:7]", "messages[7:9]"],
    ]  # fmt: skip


def test_a_repair_keeps_the_question_though_it_is_not_the_last_turn(tmp_path: Path) -> None:
    model = Model(lambda request: "42" if len(request.messages) > 2 else "maybe")
    flow = replying(DropOldest() | CutMiddle(), Repair(1), output=int)
    run = run_over(flow, [{"ticket": LONG}], windowed(model, 800), tmp_path)
    assert [message.role for message in model.requests[1].messages] == ["system", "user", "assistant", "user"]
    assert run.answers()["reply"].tolist() == [42]
    assert prompt_tokens(model.requests[1], ESTIMATE) <= 800 - 256


# ------------------------------------------------------------------------------------------------ what is asked for it
def test_a_summary_is_asked_recorded_and_charged_below_the_step(tmp_path: Path) -> None:
    cheap = Model(lambda _: Reply(parts=(Text("They talked."),), cost_usd=0.25))
    model = Model(lambda _: "an answer " * 40)
    fleet = windowed(model, 800, cheap=cheap)
    run = run_over(chatting(Summarise("cheap", tokens=20, piece_bytes=800), 4), tickets(1), fleet, tmp_path)
    query = "select step, model, count(*), sum(cost_usd) from attempts group by all order by all"
    assert run.sql(query).rows[1] == ("w/reply/fit", "cheap", 2, 0.5)
    assert run.progress.tally.cost_usd == 0.5
    assert "They talked." in model.requests[-1].text
    (told,) = column(run, "select dropped from attempts where model = 'small' order by turn desc limit 1")
    assert [each["how"] for each in orjson.loads(told)] == ["summarised by cheap"] * 2


def test_the_same_old_turns_are_summarised_once_whatever_the_turn_the_row_or_the_run(tmp_path: Path) -> None:
    cheap, model = Model("They talked."), Model(lambda _: "an answer " * 40)
    fleet = windowed(model, 800, cheap=cheap)
    flow = chatting(Summarise("cheap", tokens=20, piece_bytes=800), 6)
    same = [{"id": "a", "ticket": "one"}, {"id": "b", "ticket": "one"}]
    first = run_over(flow, same, fleet, tmp_path)
    assert column(first, 'select status from "rows"') == ["answered", "answered"]
    assert len({request.text for request in cheap.requests}) == cheap.calls == 4
    run_over(flow, [{"id": "c", "ticket": "one"}], fleet, tmp_path, fresh=False)
    assert cheap.calls == 4


def test_an_embedder_is_asked_which_passages_are_like_the_question(tmp_path: Path) -> None:
    @step(route=SMALL, fit=Retrieve(embedder="vectors"))
    def reply(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket, passages=["birds " * 100, "parcels " * 100, "weather " * 100])

    def vectors(request: Request) -> Reply:
        return Reply(vectors=tuple((float("parcel" in text), 1.0) for text in request.inputs))

    model = Model()
    fleet = windowed(model, 500, vectors=vectors)
    run = run_over(Workflow("w", [reply]), [{"ticket": "my parcel?"}], fleet, tmp_path)
    part = model.requests[0].messages[1].parts[1]
    assert isinstance(part, Data)
    assert orjson.loads(part.text) == ["parcels " * 100]
    assert run.sql("select step, operation_name from attempts order by step").rows == (
        ("w/reply", "chat"),
        ("w/reply/fit", "embeddings"),
    )


def test_a_model_may_summarise_for_itself_through_its_only_door(tmp_path: Path) -> None:
    model = Model(lambda request: "short" if request.max_output_tokens == 20 else "an answer " * 40)
    fleet = windowed(model, 800)
    fleet = Fleet({"small": ModelSpec("small", "function", "small", window=800, concurrency=1)}, fleet.functions)
    run = run_over(chatting(Summarise("small", tokens=20, piece_bytes=800), 4), tickets(2), fleet, tmp_path)
    assert column(run, 'select status from "rows"') == ["answered", "answered"]


def test_a_summary_that_cannot_be_had_is_an_overflow_and_the_next_model_is_asked(tmp_path: Path) -> None:
    def down(_: Request) -> str:
        raise Unavailable("refused", retry_after=0.0)

    fleet = windowed(Model(), 1000, cheap=down, large=Model())
    flow = replying(Summarise("cheap"), Fallback(), Ladder("small", "large"))
    run = run_over(flow, [{"ticket": "word " * 3000}], fleet, tmp_path)
    asked = "select model, error_type from attempts where step = 'w/reply' order by number"
    assert run.sql(asked).rows == (("small", "context_overflow"), ("large", None))
    (why,) = column(run, "select error_message from attempts where error_type = 'context_overflow'")
    assert why.startswith("cheap was asked to help fit the prompt, and did not answer: cheap: refused")


def test_what_is_asked_on_the_way_is_part_of_its_step_when_a_resume_is_planned(tmp_path: Path) -> None:
    fleet = windowed(Model(lambda _: "an answer " * 40), 800, cheap=Model("They talked."))
    run = run_over(chatting(Summarise("cheap", tokens=20, piece_bytes=800), 4), tickets(2), fleet, tmp_path)
    prospect = planned(facts_of(run.history, run.id))
    assert [each.step for each in prospect.steps] == ["w/reply"]
    assert prospect.calls == 0


# --------------------------------------------------------------------------------------------------------- overflows
def overflowing(limit: int, words: str = "too long") -> Callable[[Request], str]:
    """A model that takes prompts of so many tokens, whatever its window is said to be."""

    def answer(request: Request) -> str:
        tokens = prompt_tokens(request, ESTIMATE)
        if tokens > limit:
            raise ContextOverflow(words.format(tokens=tokens, limit=limit))
        return "fine"

    return answer


TOLD = "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens."


def test_an_overflow_that_a_provider_reports_has_the_prompt_fitted_smaller(tmp_path: Path) -> None:
    fleet = windowed(overflowing(800), 1256)
    run = run_over(replying(CutMiddle(), Refit()), [{"ticket": LONG}], fleet, tmp_path)
    assert attempts(run) == [
        ("small", "first choice", "context_overflow"),
        ("small", "fitted smaller after context_overflow", None),
    ]
    first, second = dropped(run)
    assert first[0]["bytes"] < second[0]["bytes"]


@pytest.mark.parametrize("window", [None, 100_000])
def test_a_window_that_the_provider_tells_is_kept_to_from_then_on(tmp_path: Path, window: int | None) -> None:
    fleet = windowed(overflowing(1000, TOLD), window)
    rows = [{"id": str(i), "ticket": LONG + str(i)} for i in range(3)]
    run = run_over(replying(CutMiddle(), Refit()), rows, fleet, tmp_path, in_flight=1)
    assert column(run, "select count(*) from attempts group by row_id order by row_id") == [2, 1, 1]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_server_that_says_too_long_in_its_own_words_is_answered(tmp_path: Path, provider: str) -> None:
    with fake.running(fake.settings({"models": {"far": {"window": 900}}})) as server:
        told: dict[str, Any] = {"endpoint": server.endpoint("far"), "window": 50_000, "max_output_tokens": 100}
        spec = ModelSpec("small", provider, "far", **told)
        rows = [{"id": str(i), "ticket": LONG + str(i)} for i in range(2)]
        run = run_over(replying(CutMiddle(), Refit()), rows, Fleet.of(spec), tmp_path, in_flight=1)
    assert column(run, "select error_type from attempts order by row_id, number") == ["context_overflow", None, None]


def test_without_a_window_declared_or_told_less_is_sent_all_the_same(tmp_path: Path) -> None:
    run = run_over(replying(CutMiddle(), Refit()), [{"ticket": LONG}], windowed(overflowing(1100), None), tmp_path)
    assert column(run, "select error_type from attempts order by number") == ["context_overflow", None]


def test_what_cannot_be_fitted_smaller_goes_to_a_larger_window(tmp_path: Path) -> None:
    fleet = windowed(overflowing(1000), 3000, tiny=Model(), large=Model())
    for name, window in (("tiny", 2000), ("large", 8000)):
        fleet = fleet.with_function(name, fleet.functions[name], window=window, capabilities=("chat",))
    flow = replying(None, Refit() | Fallback(), Ladder("small", "tiny", "large"))
    run = run_over(flow, [{"ticket": LONG}], fleet, tmp_path)
    assert attempts(run) == [
        ("small", "first choice", "context_overflow"),
        ("small", "fitted smaller after context_overflow", "context_overflow"),
        ("large", "larger window after context_overflow", None),
    ]


def test_the_moves_after_an_overflow_are_a_table() -> None:
    from tests.core.core_samples import attempts_at, decision_over

    reported, local = ContextOverflow("too long"), CannotFit("cannot")
    order = decision_over("a", "b", "c")
    windows = {"a": 1000, "b": 500, "c": 2000}

    def move(*tried: Any, policy: Policy = Refit(), **facts: Any) -> Any:  # noqa: B008
        return policy(Facts(order, attempts_at(*tried), windows=facts.get("windows", windows)))

    assert move(("a", 0.5)) is None
    assert move(("a", Unavailable("refused"))) is None
    assert move(("a", reported)) == Try("a", why="fitted smaller after context_overflow", shrink=0.75)
    assert move(("a", reported), ("a", reported)) == Try("c", why="larger window after context_overflow")
    again = move(("a", reported), ("a", reported), policy=Refit(2, to=0.5))
    assert again == Try("a", why="fitted smaller after context_overflow", shrink=0.25)
    assert move(("a", local)) == Try("c", why="larger window after context_overflow")
    assert move(("a", reported), ("a", local)) == Try("c", why="larger window after context_overflow")
    assert move(("c", local)) is None
    assert move(("a", local), windows={}) is None
    assert (repr(Refit()), repr(Refit(2, to=0.5))) == ("Refit(1)", "Refit(2, to=0.5)")


# ------------------------------------------------------------------------------------------------------ tokens learnt
def spec(**options: Any) -> ModelSpec:
    return ModelSpec("small", **{"provider": "openai", "model": "unknown-model", **options})


def test_reported_usage_corrects_the_count_of_its_own_model_alone() -> None:
    fitter, request = Fitter(fleet_of()), prompt("Answer.", ticket="word " * 400)
    guessed = prompt_tokens(request, ESTIMATE)
    for _ in range(10):
        fitter.heard(spec(), request, Reply(usage=Usage(input_tokens=round(1.5 * guessed))))
    assert prompt_tokens(request, fitter.counter(spec())) == pytest.approx(1.5 * guessed, rel=0.06)
    other = ModelSpec("other", "openai", "unknown-model")
    assert fitter.counter(other) is ESTIMATE


def test_attachments_and_vectors_say_nothing_of_the_tokens_of_words() -> None:
    fitter = Fitter(fleet_of())
    seen = Request((Message("user", (Text("word " * 400), Media("image/png", "aGk="))),))
    fitter.heard(spec(), seen, Reply(usage=Usage(input_tokens=9000)))
    fitter.heard(spec(), Request(operation="embeddings", inputs=("x" * 400,)), Reply(usage=Usage(input_tokens=9000)))
    fitter.heard(spec(), prompt("x" * 400), Reply())
    fitter.heard(spec(), prompt("x" * 400), Unavailable("9000 tokens"))
    assert fitter.counter(spec()) is ESTIMATE


def test_a_steady_fitter_learns_nothing() -> None:
    fitter, request = Fitter(fleet_of(), steady=True), prompt("Answer.", ticket="word " * 400)
    fitter.heard(spec(window=900), request, Reply(usage=Usage(input_tokens=9000)))
    fitter.heard(spec(window=900), request, ContextOverflow("prompt is too long: 9000 tokens > 500 maximum"))
    assert fitter.counter(spec()) is ESTIMATE
    question = Question(Place("r", "1", "w/reply"), request, Plan(SMALL, Refit(), fit=CutMiddle()))
    assert asyncio.run(fitter.fitted(question, spec(window=900))).request is request


def test_later_prompts_are_fitted_by_what_was_reported_of_earlier_ones(tmp_path: Path) -> None:
    model = Model(lambda request: Reply(parts=(Text("fine"),), usage=Usage(prompt_tokens(request, ESTIMATE) * 2, 1)))
    rows = [{"id": str(i), "ticket": LONG + str(i)} for i in range(8)]
    run_over(replying(CutMiddle()), rows, windowed(model, 1256), tmp_path, in_flight=1)
    sent = [prompt_tokens(request, ESTIMATE) for request in model.requests]
    assert sent[0] > 850
    assert all(tokens * 2 <= 1000 for tokens in sent[1:])


def test_the_models_own_limit_is_reserved_up_to_half_of_the_window() -> None:
    place = Place("r", "1", "w/reply")
    question = Question(place, prompt("Answer.", ticket="word " * 2000), Plan(SMALL, Refit(), fit=CutMiddle()))
    sizes = []
    for provider, limit in (("openai", None), ("openai", 400), ("openai", 4000), ("anthropic", None)):
        made = spec(provider=provider, window=1256, max_output_tokens=limit)
        fitted = asyncio.run(Fitter(fleet_of()).fitted(question, made))
        sizes.append(prompt_tokens(fitted.request, ESTIMATE))
    assert [850 < sizes[0] < 910, 700 < sizes[1] < 779, 500 < sizes[2] < 572, sizes[3] == sizes[2]] == [True] * 4
