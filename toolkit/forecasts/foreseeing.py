"""The requests of a run that has not begun, as far as rows and record tell them; nothing is asked and nothing written.

Steps that ask are plain functions, so those of a row whose inputs are there are rendered: what they ask is exactly what
the run would ask, and whether it is answered already is known. A tool step is not called, as it may act; what needs
one, or an answer that is not on record yet, is estimated by earlier runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.asking.questions import Plan
from toolkit.asking.settings import Settings
from toolkit.asking.trails import chance_seed
from toolkit.asking.worst import limited, worst
from toolkit.context import Retrieve, Summarise
from toolkit.errors import InvalidOutput, LedgerError, ToolkitError
from toolkit.fleet import Fleet
from toolkit.forecasts.forecasting import Forecast, Seen, Typical, forecast, most_attempts
from toolkit.graph.calling import are_requests, run_function
from toolkit.graph.inputs import revived, row_inputs
from toolkit.graph.rowstate import RowState
from toolkit.graph.steps import About, Step
from toolkit.graph.workflow import Workflow
from toolkit.ledger import History, Journal
from toolkit.ledger.homes import has_journal
from toolkit.ledger.views import expectations
from toolkit.policies import Facts, Park, Try, decide
from toolkit.prompts.outputs import Output
from toolkit.prompts.prompting import Skip
from toolkit.prompts.tokens import ESTIMATE, prompt_tokens, with_margin
from toolkit.records import Answer, Decision, Json, Place, Request, answer_key
from toolkit.redaction import Redactor
from toolkit.routing.router import RoutingFacts
from toolkit.rows import open_rows
from toolkit.runs.discretion import Discretion, redacted
from toolkit.runs.feeding import identify

BATCH_ROW = "*"
UNKNOWN = Answer(Place("", "", ""), "", "parked")


def foreseen(workflow: Workflow, rows: Any, fleet: Fleet, settings: Settings) -> Forecast:
    """The forecast of a run with these settings. Raises a SetupError where it could not run."""
    workflow.check(fleet)
    home = settings.home
    is_begun = has_journal(home)
    discretion = Discretion.of(settings)
    redactor = discretion.redactor(fleet, key=discretion.key(home) if is_begun else secrets.token_bytes(32))
    table = redacted(open_rows(rows).head(settings.limit, settings.skip), redactor)
    journal = Journal.open(home, merges=False) if is_begun else None
    try:
        sight = _Sight(workflow, fleet, redactor, journal if not settings.fresh else None, seed=settings.seed)
        count = 0
        for index, fields in enumerate(table.stream()):
            sight.look(identify(workflow, index, fields), fields)
            count += 1
        seen = sight.ended()
    finally:
        if journal is not None:
            journal.close()
    past, past_rows = _past(home, workflow.name) if is_begun else ([], 0)
    return forecast(seen, past, fleet=fleet, rows=count, past_rows=past_rows, in_flight=settings.in_flight)


def _past(home: Path, name: str) -> tuple[list[Typical], int]:
    """What earlier runs of a workflow of that name say, and how many rows they had."""
    history = History(home)
    prefix = {"prefix": f"{name}/"}
    try:
        found = history.sql(expectations.REQUESTS, prefix).rows
        ((rows,),) = history.sql(expectations.ROWS, prefix).rows
    except LedgerError:
        return [], 0
    past = [
        Typical(step, model, requests, calls, None if unpriced else cost_usd or 0.0, seconds or 0.0, short)
        for step, model, requests, calls, cost_usd, unpriced, seconds, short in found
    ]
    return past, rows


@dataclass
class _Sight:
    """Looks at row after row of a workflow."""

    workflow: Workflow
    fleet: Fleet
    redactor: Redactor
    journal: Journal | None
    seed: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    known: dict[str, set[str]] = field(default_factory=dict)
    once: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._plans = {s.name: self.workflow.plan(s, self.fleet) for s in self.workflow.steps if s.route is not None}
        self._readers = {step.name: step.reader() for step in self.workflow.steps}
        self._rows = Output.of(self.workflow.rows)
        for step in self.workflow.order:
            if step.asks or step.inner is not None:
                self.seen[step.name] = Seen(f"{self.workflow.name}/{step.name}")
        state = RowState(BATCH_ROW, {})
        for step in self.workflow.order:
            if step.name in self.workflow.once:
                self.once[step.name] = state.answers[step.name] = self._answer(step, state)

    def look(self, row_id: str, fields: Mapping[str, Json]) -> None:
        """One row: each of its steps, as far as what it needs is known."""
        state = RowState(row_id, fields)
        if self._rows.schema is not None:
            try:
                self._rows.check(dict(fields))
            except InvalidOutput:
                return  # it is set aside, and asks nobody
            state.typed = self._rows.revive(dict(fields))
        for step in self.workflow.order:
            if step in self.workflow.per_row:
                state.answers[step.name] = self._answer(step, state)

    def ended(self) -> list[Seen]:
        """What was seen of each step that asks."""
        for step in self.workflow.reducing:
            if step.name in self.seen:
                self._unknown(step, "it sees all rows at the end")
        return list(self.seen.values())

    def _answer(self, step: Step, state: RowState) -> Answer:
        """The answer of a step where it is on record already, or needs nobody; else UNKNOWN."""
        place = Place("", state.row_id, f"{self.workflow.name}/{step.name}")
        known = {**self.once, **state.answers}
        if any(known[name] is UNKNOWN for name in step.needs if name in self.workflow.by_name):
            return self._unknown(step, "it needs what is not answered yet")
        if step.inner is not None:
            return self._unknown(step, "it is a workflow of its own")
        if not step.asks:
            return UNKNOWN
        try:
            inputs = row_inputs(self.workflow, step, state, known=known, place=place)
            if isinstance(inputs, Answer):
                return inputs
            about = About("", state.row_id, self.workflow.name, {})
            values = revived(self.workflow, step, inputs, state=state, readers=self._readers, run=about)
            return self._of_result(step, place, state, run_function(step, values))
        except ToolkitError:
            self.seen[step.name].failed += 1
            return Answer(place, "", "failed")

    def _of_result(self, step: Step, place: Place, state: RowState, result: Any) -> Answer:
        """What a step's function gave: a request or some, a value, or turns that only a reply would let go on."""
        if isinstance(result, Skip):
            return Answer(place, "", "skipped")
        if isinstance(result, Iterator):
            return self._unknown(step, "it asks turn by turn")
        if isinstance(result, Request):
            if step.tools:
                return self._unknown(step, "its tools may be called")
            return self._asked(step, place, state, result)
        if are_requests(result):
            parts = [self._asked(step, replace(place, turn=n), state, each) for n, each in enumerate(result, start=1)]
            if any(part.status != "answered" for part in parts):
                return UNKNOWN
            return Answer(place, "", "answered", value=[part.value for part in parts])
        return UNKNOWN  # a value of its own: what it is on record as is not known

    def _asked(self, step: Step, place: Place, state: RowState, request: Request) -> Answer:
        """A request as the run would make it: its answer where it is on record, else it is to be asked."""
        plan, seen = self._plans[step.name], self.seen[step.name]
        schema = plan.output.schema if request.operation == "chat" else None
        request = self.redactor.request(
            replace(
                request,
                output_schema=request.output_schema or schema,
                needs=(*request.needs, *step.capabilities),
                max_output_tokens=request.max_output_tokens or step.max_output_tokens,
            )
        )
        key = answer_key(place.step, request.canonical(), plan.label, turn=place.turn, repeat=place.repeat)
        seen.requests += 1
        if self.journal is not None:
            if place.step not in self.known:
                self.known[place.step] = self.journal.known_keys(place.step)
            found = self.journal.find_answer(key) if key in self.known[place.step] else None
            if found is not None:
                seen.on_record += 1
                return found
        if key in self.keys:
            seen.shared += 1
        else:
            self.keys.add(key)
            self._priced(plan, place, state, request, seen)
        return UNKNOWN

    def _priced(self, plan: Plan, place: Place, state: RowState, request: Request, seen: Seen) -> None:
        """Who would be asked, and what it could cost at most."""
        tokens = prompt_tokens(request, ESTIMATE)
        facts = RoutingFacts(
            request=request,
            models=self.fleet.facts,
            step=place.step,
            fields=state.fields,
            input_tokens=tokens,
            min_input_tokens=with_margin(plan.fit.least_tokens(request, ESTIMATE), ESTIMATE),
            seed=chance_seed(self.seed, place),
        )
        decision = plan.route.decide(facts)
        if not isinstance(decision, Decision):
            decision.close()
            seen.unknown, seen.why_unknown = seen.unknown + 1, "its router asks a model first"
            return
        first = decide(plan.policy, Facts(decision, persons=self.fleet.persons))
        if not isinstance(first, Try):
            seen.parks += isinstance(first, Park)
            seen.unroutable += not isinstance(first, Park)
            return
        seen.choices[first.model] += 1
        seen.input_tokens[first.model] += prompt_tokens(replace(request, output_schema=None, tools=()), ESTIMATE)
        if isinstance(plan.fit, Summarise | Retrieve) or any(grader.names() for grader in plan.graders):
            seen.most_calls = seen.worst_usd = None  # what it asks on the way is not known
            return
        most = most_attempts(plan.policy, decision.order, persons=self.fleet.persons)
        if most is None:
            seen.most_calls = seen.worst_usd = None
            return
        for model, times in most.items():
            spec, price = self.fleet[model], self.fleet.facts[model].price
            usd = worst(limited(request, spec), spec, price=price).usd
            seen.most_calls = None if seen.most_calls is None else seen.most_calls + times
            seen.worst_usd = None if seen.worst_usd is None or usd is None else seen.worst_usd + times * usd

    def _unknown(self, step: Step, why: str) -> Answer:
        if (seen := self.seen.get(step.name)) is not None:
            seen.unknown += 1
            seen.why_unknown = why
        return UNKNOWN
