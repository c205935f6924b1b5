"""What a view of the history is, and the pieces of SQL that many of them share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A question, the tables that it reads, and its SQL, which may also read the views before it."""

    name: str
    question: str
    reads: tuple[str, ...]
    sql: str


OF_MODELS = "operation_name is distinct from 'execute_tool'"
"""Attempts at models: a call of a tool is an attempt too, which costs nothing and is no call of a model."""
FINISHED = "coalesce(bool_and(run_id in (select id from runs where status <> 'running')), false) as is_finished"
"""Whether all runs of a group are over; a small set is looked up per row, which is cheaper than joining the runs."""
