"""The page on routing: its examples run as written, and on the record stands what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import toolkit as tk
from tests.core.core_samples import Model, fleet_of, member, routing_facts, run_over, said, tickets
from toolkit.errors import RateLimited
from toolkit.evaluation.decisions import decided
from toolkit.routing.parsing import parse_router

PAGE = (Path(__file__).parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
EXAMPLE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
(AGREED,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
TEAM = (member("small"), member("large"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(EXAMPLE, "docs/routing.md", "exec", flags=0, dont_inherit=True), names)
        yield names


@pytest.mark.slow
def test_what_a_shadow_would_have_chosen_is_found_by_sql(page: dict[str, Any]) -> None:
    found = {(choice, beside): count for choice, beside, count in page["run"].sql(AGREED)}
    assert set(found) == {("small", "large"), ("large", "large")}
    assert sum(found.values()) == 40


def test_a_snapshot_measures_what_the_attempts_and_grades_say(page: dict[str, Any]) -> None:
    expected = page["run"].sql(
        """select a.step, a.model, count(*), 0, median(a.service_seconds), count(*), avg(g.value)
           from attempts a join grades g on g.attempt_id = a.id group by all order by all"""
    )
    found = [
        (row.step, row.model, row.calls, row.failed, row.seconds, row.graded, row.quality) for row in page["seen"].rows
    ]
    assert [row[1] for row in found] == ["large", "small"]
    assert found[0][6] == 1.0
    assert found == [pytest.approx(row) for row in expected]


def test_a_decision_from_a_snapshot_names_it_in_label_and_column(page: dict[str, Any]) -> None:
    seen, again = page["seen"], page["again"]
    rows = set(again.sql("select router, snapshot, probabilities from decisions"))
    assert rows == {(f"Thompson({seen.source!r}, 'small', 'large') | Fixed('small')", seen.hash, "monte_carlo")}
    assert seen.hash[:12] in seen.source


def test_what_a_bandit_learned_is_what_it_chooses_and_the_record_replays(page: dict[str, Any]) -> None:
    told = decided(page["learnt"].history, "topic", runs=[page["learnt"].id])
    again = list(told.redecided(tk.Explore(page["bandit"], rate=0.1)))
    assert [each.choice for each in again] == [each.choice for each in told.decisions]
    snapshots = set(page["learnt"].sql("select snapshot from decisions").column("snapshot"))
    assert snapshots == {page["bandit"].snapshot}
    assert page["bandit"].snapshot[:12] in page["bandit"].source


def test_two_that_agree_are_believed_and_where_they_do_not_a_third_decides(page: dict[str, Any]) -> None:
    found = page["agreed"].sql("select r.fields ->> 'truth', a.value ->> '$', a.attempts, a.model from answers a "
                               "join rows r using (run_id, row_id) group by all order by all")  # fmt: skip
    assert list(found) == [("delivery", "delivery", 3, "large"), ("refund", "refund", 2, "small")]


def test_the_suite_of_the_page_holds_for_the_example(page: dict[str, Any]) -> None:
    suite = page["TestLinUCB"]()
    for law in (name for name in dir(suite) if name.startswith("test_")):
        getattr(suite, law)()


def test_a_function_of_the_page_draws_below_its_length_and_is_certain_above(page: dict[str, Any]) -> None:
    router = page["long_ones"](least=800)
    assert router.decide(routing_facts(TEAM, input_tokens=900)).probability == 1.0
    drawn = router.decide(routing_facts(TEAM, input_tokens=9))
    assert {c.model: c.probability for c in drawn.candidates} == {"small": 0.9, "large": 0.1}
    assert drawn.router == "long_ones(least=800, version=1)"


@pytest.mark.parametrize("text", re.findall(r"^\| `((?:Fixed|Ladder|Cheapest|Judge|Uniform)\(.*?\))` \|", PAGE, re.M))
def test_the_routers_of_the_table_are_read_as_written(text: str) -> None:
    assert parse_router(repr(parse_router(text))) == parse_router(text)


# ----------------------------------------------------------------------------------------------------- judges on record
def test_what_a_judge_is_asked_is_recorded_and_charged_to_the_row(tmp_path: Path) -> None:
    fleet = fleet_of(
        tiny=Model(lambda request: said("large", cost_usd=0.25)),
        small=Model("small's"),
        large=Model(lambda request: said("large's", cost_usd=1.0)),
    )

    @tk.step(route=tk.Judge("small", "large", by="tiny") | tk.Fixed("tiny"))
    def reply(ticket: str) -> Any:
        return tk.prompt("Reply.", ticket=ticket)

    run = run_over(tk.Workflow("desk", [reply]), tickets(2), fleet, tmp_path)
    assert set(run.sql("select step, model, cost_usd from attempts")) == {
        ("desk/reply/route", "tiny", 0.25),
        ("desk/reply", "large", 1.0),
    }
    assert set(run.sql("select choice, probability, reason from decisions")) == {("large", 1.0, "tiny names it")}
    assert {cost for (cost,) in run.sql("select cost_usd from answers")} == {1.25}


def test_calls_that_failed_count_as_failed_and_take_no_time(tmp_path: Path) -> None:
    def busy(request: Any) -> Any:
        raise RateLimited("too many")

    @tk.step(route=tk.Ladder("small", "large"), policy=tk.Fallback())
    def reply(ticket: str) -> Any:
        return tk.prompt("Reply.", ticket=ticket)

    run = run_over(tk.Workflow("desk", [reply]), tickets(1), fleet_of(small=busy, large=Model()), tmp_path)
    large, small = tk.Measured.of(run.history).rows
    assert (small.model, small.calls, small.failed, small.seconds, small.quality) == ("small", 1, 1, None, None)
    assert (large.failed, large.graded) == (0, 0)
    assert large.seconds is not None
