"""The history's tables: every column with its type and one line on what it holds.

The DDL, the types by which batches are read, the comments that DuckDB shows and the reader's views all come from here.
Durations are seconds, money is US dollars, stamps have a time zone, and what is unknown is NULL and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 3


@dataclass(frozen=True)
class Column:
    """A column and what it holds."""

    name: str
    type: str
    comment: str

    @property
    def compressed(self) -> str:
        """What its declaration says of compression: texts and documents by ZSTD, all else as DuckDB sees fit.

        Left to itself DuckDB builds a dictionary of every text, which takes three times the time and the room.
        """
        return " using compression zstd" if self.type == "JSON" or self.name == "body" else ""


@dataclass(frozen=True)
class HistoryTable:
    """A table of the history. Of rows with the same `key` the last one wins; without a key rows are only added."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def of_run(self) -> str | None:
        """The column that says to which run a row belongs, None where rows belong to no run."""
        if self.name == "runs":
            return "id"
        return "run_id" if any(column.name == "run_id" for column in self.columns) else None

    @property
    def names(self) -> str:
        """The columns as a list for a statement."""
        return ", ".join(f'"{column.name}"' for column in self.columns)

    @property
    def types(self) -> str:
        """The columns as DuckDB's `columns = {...}`, the number in the journal's log first."""
        listed = [f"'{column.name}': '{column.type}'" for column in self.columns]
        return "{" + ", ".join(["'seq': 'BIGINT'", *listed]) + "}"

    @property
    def empty(self) -> str:
        """A query with these columns and no rows."""
        return "select " + ", ".join(f'null::{c.type} as "{c.name}"' for c in self.columns) + " where false"

    @property
    def ddl(self) -> str:
        """The statement that makes the table."""
        columns = ", ".join(f'"{column.name}" {column.type}{column.compressed}' for column in self.columns)
        return f"create table {self.name} ({columns})"

    @property
    def comments(self) -> tuple[str, ...]:
        """The statements that put the comments on table and columns."""
        on_columns = (
            f"""comment on column {self.name}."{column.name}" is '{_quoted(column.comment)}'"""
            for column in self.columns
        )
        return (f"comment on table {self.name} is '{_quoted(self.comment)}'", *on_columns)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _columns(*lines: str) -> tuple[Column, ...]:
    """Columns from lines of `name TYPE  what it holds`."""
    return tuple(Column(*line.split(maxsplit=2)) for line in lines)


_PLACE = (
    "run_id VARCHAR the run",
    "row_id VARCHAR the row of that run",
    "step VARCHAR workflow/step; nested workflows outer/inner/step",
    "turn INTEGER the turn of a step of several turns, from 0",
    "repeat INTEGER the repetition of the same request, from 0",
)

TABLES = (
    HistoryTable(
        "runs",
        "One pass of a workflow over rows",
        _columns(
            "id VARCHAR unique; sorts by time",
            "workflow VARCHAR name of the workflow",
            "origin VARCHAR who started it: script, notebook, cli or prefect",
            "started_at TIMESTAMPTZ when it started",
            "status VARCHAR running, finished, cancelled or interrupted",
            "finished_at TIMESTAMPTZ when it ended; NULL while it runs",
            "rows_total BIGINT how many rows were given; NULL if not known in advance",
            "seed HUGEINT the seed of all its random draws",
            "settings JSON what else it was started with",
            "parent_run_id VARCHAR the run that started this one",
            "flow_run_id VARCHAR the Prefect flow run, if any",
        ),
        key=("id",),
    ),
    HistoryTable(
        "rows",
        "One row of a run: what went in and how it ended",
        _columns(
            "run_id VARCHAR the run",
            "row_id VARCHAR unique within the run",
            "index BIGINT place in the table that was given, from 0",
            "status VARCHAR answered, parked, failed or set_aside",
            "fields JSON the row as it was given, after redaction",
            "reason VARCHAR why it ended so",
            "seconds DOUBLE from its first step to its end",
            "cost_usd DOUBLE cost of all its attempts; NULL if any is unknown",
            "parent_row_id VARCHAR the row whose list this is an item of",
            "parent_step VARCHAR the step that gave that list",
            "finished_at TIMESTAMPTZ when it ended",
        ),
        key=("run_id", "row_id"),
    ),
    HistoryTable(
        "decisions",
        "Which model was picked for a request, out of which and why",
        _columns(
            "id VARCHAR unique; sorts by time",
            *_PLACE,
            "request_hash VARCHAR the request, in contents",
            "inputs JSON what the request was made of: input name -> key of the answer that it holds",
            "choice VARCHAR the model picked",
            "probability DOUBLE with which it was picked",
            "reason VARCHAR why",
            "router VARCHAR the call that builds the router",
            "probabilities VARCHAR exact or monte_carlo",
            "exploration_rate DOUBLE share of decisions drawn by chance",
            "seed HUGEINT of the draw",
            "snapshot VARCHAR what the router had learned by then",
            "candidate_order VARCHAR[] eligible models from first to last resort",
            "candidates JSON per model: verdicts of constraints, score, probability, expected cost",
        ),
    ),
    HistoryTable(
        "attempts",
        "One try at one model",
        _columns(
            "id VARCHAR unique; sorts by time",
            *_PLACE,
            "decision_id VARCHAR the decision it carries out",
            "number INTEGER first, second, ... attempt at this request, from 1",
            "why VARCHAR the move: first, retry, repair, escalate, fallback, ...",
            "model VARCHAR its name in the fleet",
            "provider_name VARCHAR OpenTelemetry gen_ai.provider.name",
            "operation_name VARCHAR gen_ai.operation.name: chat, embeddings or execute_tool",
            "request_model VARCHAR gen_ai.request.model",
            "response_model VARCHAR gen_ai.response.model",
            "response_id VARCHAR gen_ai.response.id",
            "request_hash VARCHAR the request, in contents",
            "output_hash VARCHAR what the model put out, in contents",
            "started_at TIMESTAMPTZ when it was sent",
            "wait_seconds DOUBLE waiting for a free place, or for a model to be loaded",
            "service_seconds DOUBLE from sending to the whole reply",
            "input_tokens BIGINT gen_ai.usage.input_tokens, cached ones included",
            "output_tokens BIGINT gen_ai.usage.output_tokens, reasoning included",
            "cache_read_input_tokens BIGINT of input_tokens, read from the provider's cache",
            "cache_write_input_tokens BIGINT of input_tokens, written to the provider's cache",
            "reasoning_output_tokens BIGINT of output_tokens, reasoning",
            "cost_usd DOUBLE what counts: the reported cost, else the computed one; NULL if neither is known",
            "reported_cost_usd DOUBLE the provider's own word; NULL if it gave none",
            "computed_cost_usd DOUBLE by the price book; NULL if the price or the usage is unknown",
            "price_version VARCHAR the price book it was computed with",
            "reserved_usd DOUBLE what was held back for it while it ran; NULL where no budget was set",
            "dropped JSON what did not go out so that the prompt fits: section, bytes, how; NULL if nothing",
            "finish_reasons VARCHAR[] gen_ai.response.finish_reasons",
            "confidence DOUBLE the model's own probability of its answer, where it tells one",
            "error_type VARCHAR error.type; NULL if it succeeded",
            "error_message VARCHAR what went wrong",
        ),
    ),
    HistoryTable(
        "answers",
        "What later steps saw of a step; one row each time it was settled",
        _columns(
            *_PLACE,
            "key VARCHAR by which it is found again",
            "status VARCHAR answered, skipped, parked or failed",
            "value JSON the answer",
            "value_hash VARCHAR keyed hash of the answer where the run records no content, else NULL",
            "reason VARCHAR why it ended so",
            "model VARCHAR who gave it",
            "attempt_id VARCHAR the attempt that gave it",
            "attempts INTEGER how many were made for it",
            "cost_usd DOUBLE of all of them; NULL if any is unknown",
            "seconds DOUBLE from the first to the last",
            "reused_from VARCHAR the run whose answer this is, where nothing was asked again",
            "answered_at TIMESTAMPTZ when it was settled",
        ),
    ),
    HistoryTable(
        "grades",
        "One judgement of an attempt or of an answer",
        _columns(
            "id VARCHAR unique",
            *_PLACE,
            "attempt_id VARCHAR the attempt; NULL if the step's answer is judged",
            "model VARCHAR whose work is judged",
            "grader VARCHAR what judged",
            "kind VARCHAR assertion, score or label",
            "value DOUBLE the number; 0 or 1 for an assertion",
            "label VARCHAR the word",
            "reason VARCHAR why",
            "graded_by VARCHAR code, a model or a person",
        ),
    ),
    HistoryTable(
        "sessions",
        "One conversation",
        _columns(
            "id VARCHAR unique",
            "name VARCHAR how it is called",
            "started_at TIMESTAMPTZ when it began",
            "about JSON what else is known of it",
        ),
        key=("id",),
    ),
    HistoryTable(
        "messages",
        "One message of a conversation",
        _columns(
            "session_id VARCHAR the conversation",
            "index INTEGER place in it, from 0",
            "role VARCHAR system, user, assistant or tool",
            "parts JSON what was said",
            "said_at TIMESTAMPTZ when",
            "run_id VARCHAR the run it was said in",
            "attempt_id VARCHAR the attempt it came from",
        ),
        key=("session_id", "index"),
    ),
    HistoryTable(
        "reviews",
        "One question to a person",
        _columns(
            "key VARCHAR of the answer it becomes",
            *_PLACE,
            "person VARCHAR who is asked, by the fleet's name",
            "question VARCHAR what is asked",
            "output_schema JSON what the answer must satisfy",
            "asked_at TIMESTAMPTZ since when it waits",
            "status VARCHAR open, answered or expired",
            "expires_at TIMESTAMPTZ when nobody is waited for any longer; NULL: never",
            "default_value JSON what is answered then; NULL: the row fails",
            "answered_at TIMESTAMPTZ when it was answered",
            "answered_by VARCHAR the name that whoever answered gave",
            "value JSON the person's answer",
            "why VARCHAR why a person is asked",
        ),
        key=("run_id", "row_id", "step", "turn", "repeat", "key"),
    ),
    HistoryTable(
        "prices",
        "The price of a model in one version of the price book",
        _columns(
            "version VARCHAR of the price book",
            "model VARCHAR its name in the fleet",
            "input_usd_per_million DOUBLE per million input tokens",
            "output_usd_per_million DOUBLE per million output tokens",
            "cache_read_usd_per_million DOUBLE NULL: as input",
            "cache_write_usd_per_million DOUBLE NULL: as input",
            "request_usd DOUBLE per request",
            "noted_at TIMESTAMPTZ when it was noted",
        ),
        key=("version", "model"),
    ),
    HistoryTable(
        "events",
        "What happened beside the answers",
        _columns(
            "name VARCHAR such as toolkit.row.parked",
            "run_id VARCHAR the run",
            "happened_at TIMESTAMPTZ when",
            "about JSON the rest",
        ),
    ),
    HistoryTable(
        "pruned",
        "What deleted attempts add up to, by run, step, model and day",
        _columns(
            "run_id VARCHAR the run",
            "workflow VARCHAR its workflow",
            "step VARCHAR workflow/step",
            "model VARCHAR its name in the fleet",
            "day DATE when the attempts started, in UTC",
            "calls BIGINT attempts",
            "errors BIGINT attempts that failed",
            "cost_usd DOUBLE sum of the known costs",
            "calls_of_unknown_cost BIGINT attempts whose cost is unknown",
            "input_tokens BIGINT sum",
            "output_tokens BIGINT sum",
            "cache_read_input_tokens BIGINT sum",
            "reasoning_output_tokens BIGINT sum",
            "wait_seconds DOUBLE sum",
            "service_seconds DOUBLE sum",
        ),
    ),
    HistoryTable(
        "retention",
        "What was pruned or erased, when and by which rule",
        _columns(
            "id VARCHAR unique; sorts by time",
            "kind VARCHAR contents, runs or subject",
            "happened_at TIMESTAMPTZ when",
            "rule VARCHAR the rule, without any person's data",
            "runs BIGINT runs touched",
            "rows BIGINT rows touched",
            "attempts BIGINT attempts touched",
            "contents BIGINT contents deleted",
        ),
    ),
)
CONTENTS = HistoryTable(
    "contents",
    "Prompts and outputs, each kept once",
    _columns("hash VARCHAR 128 bits of BLAKE2b of the body, in hexadecimal", "body VARCHAR the text"),
)
BY_NAME = {table.name: table for table in (*TABLES, CONTENTS)}

BOOKKEEPING = (
    "create table schema_version (version INTEGER, applied_at TIMESTAMPTZ)",
    "create table merged (journal_id VARCHAR, seq BIGINT, merged_at TIMESTAMPTZ)",
    "create table described (hash VARCHAR)",
)
