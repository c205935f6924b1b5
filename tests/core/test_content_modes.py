"""What a run redacts and keeps: later steps, models and the record see the same, and a resume asks nothing again."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from tests.core.core_samples import SMALL, Model, column, fleet_of, run_over, tickets
from toolkit import Escalate, Fleet, Ladder, ModelSpec, Redact, Skip, Workflow, grading, prompt, step
from toolkit.errors import RowsError, RunError, Unavailable
from toolkit.records import Reply, Request
from toolkit.redaction import TOKEN
from toolkit.rows import Rows
from toolkit.runs.resuming import Job, resume
from toolkit.runs.running import Running

SECRET = "sk-proj-abcDEF0123456789abcDEF"
ROWS = [{"id": f"t{at}", "ticket": f"number {at}: {SECRET} or jane{at}@example.com"} for at in range(6)]


@step(route=SMALL)
def reply(ticket: str) -> Request:
    return prompt("Answer.", ticket=ticket)


FLOW = Workflow("w", [reply])


def everything(running: Running) -> str:
    """All of the record as text."""
    tables = ("runs", "rows", "decisions", "attempts", "answers", "grades", "reviews", "events", "contents")
    return "\n".join(str(running.history.sql(f'from "{table}"').rows) for table in tables)


# -------------------------------------------------------------------------------------------------- what everybody sees
@pytest.mark.slow
def test_models_later_steps_and_the_record_see_the_same_tokens(tmp_path: Path) -> None:
    seen: list[Any] = []

    @step
    def looked_up(ticket: str) -> dict[str, str]:
        seen.append(ticket)
        return {"password": "plain words", "ticket": ticket}

    @step(route=SMALL)
    def asked(looked_up: dict[str, str]) -> Request:
        seen.append(looked_up)
        return prompt(f"Use {SECRET}.", looked_up=looked_up)

    @step
    def last(asked: str) -> str:
        seen.append(asked)
        return asked

    model = Model(lambda request: f"I am {SECRET}")
    run = run_over(Workflow("w", [looked_up, asked, last]), ROWS[:1], fleet_of(small=model), tmp_path, in_flight=1)
    told = "".join(map(str, [*seen, model.requests]))
    assert SECRET not in told + everything(run) and "plain words" not in told + everything(run)
    (token,) = set(TOKEN.findall(str(seen[0])))
    assert token in model.requests[0].text and token in seen[2]
    assert "jane0@example.com" in told


def test_a_typed_row_is_redacted_before_it_is_typed(tmp_path: Path) -> None:
    class Ticket(BaseModel):
        id: str
        ticket: str
        api_key: str

    seen: list[Any] = []

    @step
    def looked(api_key: str, ticket: str) -> str:
        seen.extend([api_key, ticket])
        return "done"

    rows = [{**ROWS[0], "api_key": "plain words"}]
    run_over(Workflow("w", [looked], rows=Ticket), rows, fleet_of(), tmp_path)
    assert TOKEN.fullmatch(seen[0]) and SECRET not in seen[1]


def test_an_id_that_is_an_address_is_redacted_wherever_it_stands(tmp_path: Path) -> None:
    rows = [{"id": "jane@example.com", "ticket": "x"}, {"id": "JANE@example.com", "ticket": "y"}]
    run = run_over(FLOW, rows, fleet_of(small=Model()), tmp_path, redact="personal")
    assert "jane@" not in everything(run).lower()
    assert sorted(column(run, 'select status from "rows"')) == ["answered", "set_aside"]  # one person, one token


def test_errors_reasons_and_grades_tell_nothing(tmp_path: Path) -> None:
    @step
    def broken(ticket: str) -> str:
        raise ValueError(f"no {SECRET}")

    @step
    def left_out(ticket: str) -> Skip:
        return Skip(f"no {SECRET}")

    @step(route=SMALL, grade=grading.Exact("truth"))
    def judged(ticket: str) -> Request:
        return prompt("Answer.", ticket=ticket)

    @step(route=SMALL)
    def refused(id: str) -> Request:
        return prompt("Refuse.", id=id)

    def answer(request: Request) -> str:
        if "Refuse." in request.text:
            raise Unavailable(f"not with {SECRET}")
        return f"said {SECRET}"

    rows = [{**ROWS[0], "truth": SECRET}]
    steps = [broken, left_out, judged, refused]
    run = run_over(Workflow("w", steps), rows, fleet_of(small=Model(answer)), tmp_path)
    assert SECRET not in everything(run)
    assert "no [key:" in column(run, "select reason from answers where status = 'skipped'")[0]
    assert "not with [key:" in column(run, "select error_message from attempts where error_type is not null")[0]


def test_a_value_that_no_longer_fits_its_type_fails_the_row_at_once(tmp_path: Path) -> None:
    class Login(BaseModel):
        token: int

    @step(output=Login)
    def login(ticket: str) -> dict[str, int]:
        return {"token": 12345}

    run = run_over(Workflow("w", [login]), tickets(1), fleet_of(), tmp_path)
    assert "token: Input should be a valid integer" in column(run, 'select reason from "rows"')[0]
    kept = run_over(Workflow("w", [login]), tickets(1), fleet_of(), tmp_path, redact=Redact(keep=("token",)))
    assert kept.progress.answered == 1


def test_what_ends_a_run_is_told_without_what_is_redacted(tmp_path: Path) -> None:
    def torn() -> Any:
        yield ROWS[0]
        try:
            raise ValueError(f"line 2: {SECRET}")
        except ValueError as error:
            raise RowsError(f"cannot read on: line 2: {SECRET}") from error

    running = FLOW.start(Rows(("id", "ticket"), None, torn), fleet_of(small=Model()), home=tmp_path)
    with pytest.raises(RowsError, match=r"line 2: \[key:") as raised:
        running.wait(show=False)
    assert raised.value.__cause__ is None and SECRET not in str(raised.getrepr(chain=True))


def test_settings_of_a_run_are_redacted_and_say_what_it_redacts(tmp_path: Path) -> None:
    query = f"select 1 as id, 'x' as ticket where '{SECRET}' <> ''"
    run = run_over(FLOW, query, fleet_of(small=Model()), tmp_path, redact=Redact.personal(keep=("sender",)))
    settings = orjson.loads(column(run, "select settings from runs")[0])
    assert SECRET not in str(settings)
    assert (settings["redact"], settings["content"]) == ("Redact(emails=True, phones=True, keep=('sender',))", "full")


def test_nothing_is_redacted_where_that_is_switched_off(tmp_path: Path) -> None:
    model = Model()
    run = run_over(FLOW, ROWS[:1], fleet_of(small=model), tmp_path, redact=None)
    assert SECRET in model.requests[0].text and SECRET in everything(run)
    assert not (tmp_path / "redaction.key").exists()


# ------------------------------------------------------------------------------------------------------------- resuming
def test_a_resume_renders_the_same_requests_and_asks_nothing_again(tmp_path: Path) -> None:
    failing = True

    @step
    def looked_up(ticket: str) -> dict[str, str]:
        return {"note": ticket}

    @step(route=SMALL)
    def second(looked_up: dict[str, str], reply: str) -> Request:
        return prompt("Again.", looked_up=looked_up, reply=reply)

    @step
    def last(second: str) -> str:
        if failing:
            raise OSError("not yet")
        return second

    model, flow = (
        Model(lambda request: f"{SECRET} {len(request.text)}"),
        Workflow("w", [reply, looked_up, second, last]),
    )
    first = run_over(flow, ROWS, fleet_of(small=model), tmp_path, redact="personal")
    assert (first.progress.failed, model.calls) == (6, 12)
    failing = False
    again = run_over(flow, ROWS, fleet_of(small=model), tmp_path, run_id=first.id)
    assert (again.progress.answered, model.calls) == (6, 12)
    assert again.sql("select count(distinct key) from answers where model is not null").rows == ((12,),)


KILLED = """
import sys, time
import toolkit as tk

@tk.step(route=tk.Fixed("small"))
def reply(ticket):
    return tk.prompt("Answer.", ticket=ticket)

rows = [{"id": f"r{at}", "ticket": f"{at} sk-proj-abcDEF0123456789abcDEF jane@example.com"} for at in range(40)]
def model(request):
    print(request.text.replace("\\n", " "), flush=True)
    time.sleep(0.02)
    return "fine"
fleet = tk.Fleet({}).with_function("small", model)
tk.Workflow("w", [reply]).run(rows, fleet, home=sys.argv[1], run_id="killed", redact=sys.argv[2], in_flight=2)
"""


@pytest.mark.slow
def test_a_killed_run_over_rows_with_secrets_pays_again_for_no_more_than_was_under_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    child = subprocess.Popen([*command, "personal"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    asked = [child.stdout.readline() for _ in range(12)]
    os.kill(child.pid, 9)
    asked += child.stdout.readlines()
    child.wait(10)
    ended = subprocess.run([*command, ""], capture_output=True, text=True, check=True)
    again = ended.stdout.splitlines(keepends=True)
    assert len(set(asked) | set(again)) == 40
    assert len(set(asked) & set(again)) <= 3
    assert "sk-proj" not in "".join([*asked, *again]) and "jane@" not in "".join([*asked, *again])


def test_a_run_is_continued_with_the_redaction_that_it_began_with(tmp_path: Path) -> None:
    model = Model()
    first = run_over(FLOW, ROWS, fleet_of(small=model), tmp_path, redact=None)
    with pytest.raises(RunError, match=r"was begun with redact='none', not 'Redact\(\)'; continue it with the same"):
        run_over(FLOW, ROWS, fleet_of(small=model), tmp_path, run_id=first.id, redact=Redact())
    with pytest.raises(RunError, match="was begun with content='full', not 'hashes'"):
        run_over(FLOW, ROWS, fleet_of(small=model), tmp_path, run_id=first.id, content="hashes")


def test_a_finder_must_be_given_again(tmp_path: Path) -> None:
    def nothing(text: str) -> Sequence[tuple[int, int, str]]:
        return []

    first = run_over(FLOW, ROWS, fleet_of(small=Model()), tmp_path, redact=Redact(finder=nothing))
    with pytest.raises(RunError, match=r"cannot be built from its text; call .run\(\) where it was begun"):
        run_over(FLOW, ROWS, fleet_of(small=Model()), tmp_path, run_id=first.id)
    again = run_over(FLOW, ROWS, fleet_of(small=Model()), tmp_path, run_id=first.id, redact=Redact(finder=nothing))
    assert again.progress.before == 6


def test_a_run_whose_rows_were_named_by_a_secret_wants_them_named_again(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(
        "import toolkit as tk\n@tk.step\ndef bad(id):\n    raise ValueError()\nflow = tk.Workflow('flow', [bad])"
    )
    (tmp_path / "models.toml").write_text('[models.small]\nprovider = "person"\n')
    rows = f"select 1 as id where '{SECRET}' <> ''"
    first = Job(f"{tmp_path}/flow.py", f"{tmp_path}/models.toml", rows).start(home=tmp_path).wait(show=False)
    with pytest.raises(RunError, match=r"named by a text that holds a secret.*--rows"):
        resume(first.id, home=tmp_path)
    assert resume(first.id, home=tmp_path, rows=rows).wait(show=False).progress.failed == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"redact": "all"}, "cannot build the redaction 'all'"),
        ({"content": "some"}, "content is 'full' or 'hashes', not 'some'"),
    ],
)
def test_a_mode_that_there_is_not_is_refused(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(RunError, match=why):
        run_over(FLOW, ROWS, fleet_of(small=Model()), tmp_path, **options)


# ------------------------------------------------------------------------------------------------------ content: hashes
@pytest.mark.slow
def test_with_hashes_no_word_of_rows_requests_replies_or_reasons_is_on_record(tmp_path: Path) -> None:
    @step
    def broken(ticket: str) -> str:
        raise ValueError("xylophone")

    @step(route=SMALL, grade=grading.Exact("truth"))
    def judged(ticket: str) -> Request:
        return prompt("Quetzal.", ticket=ticket)

    rows = [{"id": "a", "ticket": "marimba", "truth": "bassoon"}]
    model = Model("bassoon")
    run = run_over(Workflow("w", [broken, judged]), rows, fleet_of(small=model), tmp_path, content="hashes")
    record = everything(run)
    assert [word for word in ("xylophone", "Quetzal", "marimba", "bassoon") if word in record] == []
    assert run.sql("select count(*) from contents").rows == ((0,),)
    assert run.sql("select value, reason from grades").rows[0][0] == 1.0
    ((model_name, tokens, request_hash, output_hash),) = run.sql(
        "select model, input_tokens, request_hash, output_hash from attempts"
    )
    assert (model_name, len(request_hash), len(output_hash)) == ("small", 32, 32) and tokens > 0
    fields = orjson.loads(column(run, "select fields from rows")[0])
    assert list(fields) == ["id", "ticket", "truth"] and fields["truth"] != fields["ticket"]


def test_hashes_are_equal_where_values_are_and_only_under_the_same_key(tmp_path: Path) -> None:
    rows = [{"id": "a", "ticket": "same"}, {"id": "b", "ticket": "same"}, {"id": "c", "ticket": "other"}]
    model = Model(lambda request: request.text[-12:])
    run = run_over(FLOW, rows, fleet_of(small=model), tmp_path / "one", content="hashes", in_flight=1)
    a, b, c = run.sql("select value_hash from answers order by row_id").column("value_hash")
    assert a == b != c
    other = run_over(FLOW, rows, fleet_of(small=model), tmp_path / "two", content="hashes", in_flight=1)
    assert set(column(other, "select value_hash from answers")) & {a, c} == set()
    assert set(column(other, "select key from answers")) & set(column(run, "select key from answers")) == set()


def test_with_hashes_later_steps_of_a_row_still_see_values_and_a_resume_asks_for_them_again(tmp_path: Path) -> None:
    failing = True

    @step(route=SMALL)
    def second(reply: str) -> Request:
        return prompt("Again.", reply=reply)

    @step
    def last(second: str, id: str) -> str:
        if failing and id == "t1":
            raise OSError("not yet")
        return second

    model, flow = Model(), Workflow("w", [reply, second, last])
    first = run_over(flow, tickets(3), fleet_of(small=model), tmp_path, content="hashes")
    calls = model.calls
    assert (first.progress.answered, first.progress.failed) == (2, 1)
    assert any("fine" in request.text for request in model.requests)
    failing = False
    again = run_over(flow, tickets(3), fleet_of(small=model), tmp_path, run_id=first.id)
    assert (again.progress.before, again.progress.answered, model.calls) == (2, 1, calls + 2)
    assert column(again, "select count(*) from answers where value is not null") == [0]


def test_with_hashes_answers_of_runs_with_content_are_used_and_their_words_not_copied(tmp_path: Path) -> None:
    model = Model("bassoon")
    run_over(FLOW, tickets(2), fleet_of(small=model), tmp_path)
    second = run_over(FLOW, tickets(2), fleet_of(small=model), tmp_path, content="hashes")
    assert (model.calls, second.progress.tally.reused) == (2, 2)
    assert column(second, "select count(*) from answers where value is not null") == [0]


def test_reducing_steps_and_persons_are_refused_where_no_content_is_kept(tmp_path: Path) -> None:
    @step(reduces=True)
    def digest(reply: list[str]) -> int:
        return len(reply)

    with pytest.raises(RunError, match=r"step 'digest' reads the recorded values of all rows.*content='full'"):
        run_over(Workflow("w", [reply, digest]), tickets(1), fleet_of(small=Model()), tmp_path, content="hashes")

    fleet = fleet_of(small=Model())
    fleet = Fleet({**fleet.specs, "person": ModelSpec("person", "person", "person")}, fleet.functions)

    @step(route=Ladder("small", "person"), policy=Escalate(0.5))
    def asked(ticket: str) -> Request:
        return prompt("x", ticket=ticket)

    outer = Workflow("w", [Workflow("inner", [asked]).as_step()])
    with pytest.raises(RunError, match=r"may ask 'person'.*keeps no question that a person could read"):
        run_over(outer, tickets(1), fleet, tmp_path, content="hashes")


# --------------------------------------------------------------------------------------------------------- many at once
def test_many_runs_at_once_in_one_new_home_make_the_same_tokens(tmp_path: Path) -> None:
    models = [Model(lambda request: request.text) for _ in range(8)]
    runs: list[Running] = []

    def begin(model: Model) -> None:
        runs.append(run_over(FLOW, ROWS[:1], fleet_of(small=model), tmp_path, fresh=True))

    threads = [threading.Thread(target=begin, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 8
    assert len({model.requests[0].text for model in models}) == 1


def test_a_reply_of_several_parts_is_recorded_as_later_steps_see_it(tmp_path: Path) -> None:
    from toolkit.messages import Text

    split = Reply(parts=(Text(SECRET[:9]), Text(SECRET[9:])))
    run = run_over(FLOW, tickets(1), fleet_of(small=Model(lambda _: split)), tmp_path)
    assert SECRET not in everything(run)
    (value,) = column(run, "select value ->> '$' from answers")
    (output,) = column(run, "select body from contents where hash in (select output_hash from attempts)")
    assert value == output and TOKEN.fullmatch(value)
