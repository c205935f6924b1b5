"""What a flow run tells in Prefect's UI: a summary with a picture, a table of costs, a bar while it works.

In: a batch, and the history of its run. Out: artifacts, and the `Summary` that the flow gives back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from toolkit.ledger import History, Table
from toolkit.ledger.homes import HISTORY
from toolkit.ledger.views import questions
from toolkit.orchestration import picturing
from toolkit.runs.progress import duration, line
from toolkit.runs.run_names import going_on
from toolkit.runs.running import Progress


@dataclass(frozen=True)
class Summary:
    """How a run under Prefect went; money in US dollars, `cost_usd` None where none of it is known."""

    run_id: str
    workflow: str
    status: str
    rows_total: int | None
    answered: int
    parked: int
    failed: int
    set_aside: int
    attempts: int
    errors: int
    cost_usd: float | None
    attempts_of_unknown_cost: int
    seconds: float
    home: Path = field(default_factory=Path)

    @classmethod
    def of(cls, run_id: str, home: Path) -> Summary:
        """The summary of a run on record."""
        names = [f.name for f in fields(cls) if f.name != "home"]
        found = History(home).sql(f"select {', '.join(names)} from run_summary", run_id=run_id)
        return cls(**dict(zip(names, next(iter(found)), strict=True)), home=home)

    @property
    def history(self) -> History:
        """The record, for SQL over all runs."""
        return History(self.home)

    def sql(self, query: str, params: Any = None) -> Table:
        """The answer of a query in which every table and view shows this run alone."""
        return self.history.sql(query, params, run_id=self.run_id)

    @property
    def came_to_nothing(self) -> bool:
        """Whether rows failed, and none was answered or waits for somebody."""
        return self.failed > 0 and not self.answered and not self.parked

    @property
    def trouble(self) -> str:
        """Why most of the rows that failed did; "" where none did."""
        found = list(self.sql(questions.WHY_ROWS_FAILED))
        return str(found[0][0]) if found else ""

    @property
    def money(self) -> str:
        """The cost in words."""
        if not self.attempts:
            return "0.0000 USD"
        known = "unknown" if self.cost_usd is None else f"{self.cost_usd:.4f} USD"
        unknown = self.attempts_of_unknown_cost
        return f"{known} + {unknown:,} attempts of unknown cost" if unknown and self.cost_usd is not None else known

    def __repr__(self) -> str:
        return (
            f"run {self.run_id} {self.status}: {self.answered:,} answered, {self.parked:,} parked, {self.failed:,} "
            f"failed and {self.set_aside:,} set aside of {self.rows_total or 0:,} rows; {self.attempts:,} attempts, "
            f"{self.money}, {duration(self.seconds)}"
        )


class Bar:
    """The progress artifact of a flow run, updated in place."""

    def __init__(self, workflow: str) -> None:
        self._shown = (0.0, "")
        self._id: UUID = now_and_here(
            create_progress_artifact, progress=0.0, key=artifact_key(workflow, "progress"), description="Rows done"
        )

    def show(self, progress: Progress) -> None:
        """Where the batch stands now; says nothing where nothing changed."""
        share = 100.0 * progress.done / progress.total if progress.total else 0.0
        shown = (min(share, 100.0), line(progress))
        if shown != self._shown:
            self._shown = shown
            now_and_here(update_progress_artifact, artifact_id=self._id, progress=shown[0], description=shown[1])


def publish(summary: Summary, *, with_picture: bool = True) -> None:
    """The artifacts of a run that is over; without its picture where there is no time for it."""
    now_and_here(
        create_markdown_artifact,
        markdown=markdown(summary, with_picture=with_picture),
        key=artifact_key(summary.workflow, "summary"),
        description=str(summary),
    )
    now_and_here(
        create_table_artifact,
        table=costs(summary),
        key=artifact_key(summary.workflow, "costs"),
        description=f"Calls and costs by step and model, run {summary.run_id}",
    )


def costs(summary: Summary) -> list[dict[str, Any]]:
    """Calls, tokens, cost and median time by step and model."""
    found = summary.sql(questions.RUN_COSTS)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found]
    return [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]


def markdown(summary: Summary, *, with_picture: bool = True) -> str:
    """The summary as a page."""
    history = (summary.home / HISTORY).resolve()
    counts = [summary.answered, summary.parked, summary.failed, summary.set_aside]
    rows = " | ".join(f"{count:,}" for count in counts)
    picture = picturing.worth(summary.history, summary.run_id) if with_picture else ""
    return f"""# {summary.workflow}: {summary.status}

Run `{summary.run_id}`, {summary.rows_total or 0:,} rows, {duration(summary.seconds)}, {summary.money}

| answered | parked | failed | set aside |
|---:|---:|---:|---:|
| {rows} |

{summary.attempts:,} attempts, {summary.errors:,} of them failed.
{_whats_left(summary)}
{picture}

## Ask in SQL

The record is `{history}`. In Python:

```python
from toolkit import History

history = History({str(summary.home.resolve())!r})
history.sql("select * from model_costs", run_id={summary.run_id!r})
```

or in DuckDB itself, over all runs (`duckdb -readonly {history}`):

```sql
select step, model, count(*) as calls, count(error_type) as errors,
  sum(cost_usd) as cost_usd
from attempts
where run_id = '{summary.run_id}'
group by all order by all;
```
"""


def _whats_left(summary: Summary) -> str:
    if summary.status != "finished":
        return (
            f"\n**It was stopped.** `run_id = {summary.run_id}` in the form goes on with it, as does "
            f"`{going_on(summary.run_id, summary.home)}`; what is on record is not asked again.\n"
        )
    if summary.parked or summary.failed:
        why = f"\nWhy most of those that failed did: {summary.trouble}\n" if summary.failed else ""
        return f"{why}\nRows that are parked or failed run again with `run_id = {summary.run_id}` in the form.\n"
    return ""


def artifact_key(*words: str) -> str:
    """A key as Prefect wants it: lower case, digits and dashes."""
    return "-".join(re.sub("[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)


def now_and_here(call: Any, **arguments: Any) -> Any:
    """Call Prefect and wait, also where an event loop runs: its own guess would be a coroutine there."""
    return cast(Any, call)(**arguments, _sync=True)
