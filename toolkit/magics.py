"""SQL in a notebook: `%load_ext toolkit`, then

    %%sql [--home FOLDER] [--run RUN] [--into NAME]
    select model, sum(cost_usd) from attempts where step = $step group by all

In: a query, in which `$name` and `{name}` stand for the notebook's variables. Out: the `Table`, which the notebook
shows; with --into also a DataFrame of that name. Variables are bound as parameters and never pasted into the query.
`%sql select ...` is the same on one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from toolkit.asking.settings import DEFAULT_HOME
from toolkit.errors import ToolkitError, sentence
from toolkit.ledger.reading.history import History
from toolkit.ledger.reading.table import Table
from toolkit.runs.run_names import named

OPTIONS = ("home", "run", "into")
_OPTION = re.compile(r"""\s*--(?P<name>[a-z]\w*)(?:=|\s+|$)(?P<value>"[^"]*"|'[^']*'|\S+)?""")
_TOKENS = re.compile(
    r"""
    [eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*"     # strings and quoted names
    | --[^\n]* | /\*.*?\*/                                         # comments
    | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$            # strings between dollars
    | \$(?P<dollar>[A-Za-z_]\w*) | \{\s*(?P<braces>[A-Za-z_]\w*)\s*\}
    """,
    re.VERBOSE | re.DOTALL,
)


class Asked(NamedTuple):
    """What a cell asks: its options by name, and the query."""

    options: Mapping[str, str]
    query: str


@magics_class
class SqlMagics(Magics):
    """`%sql` and `%%sql`."""

    @no_var_expand
    @line_cell_magic
    def sql(self, line: str, cell: str | None = None) -> Table:
        """Ask the history in SQL: %%sql [--home FOLDER] [--run RUN] [--into NAME]. $name is a variable, bound."""
        variables: dict[str, Any] = self.shell.user_ns if self.shell else {}
        try:
            asked = parsed(line, cell)
            query, names = with_parameters(asked.query)
            values = {name: _value(variables, name) for name in names}
            history = History(asked.options.get("home") or os.environ.get("TOOLKIT_HOME") or DEFAULT_HOME)
            run = asked.options.get("run")
            table = history.sql(query, values or None, run_id=named(history, run) if run else None)
        except ToolkitError as error:
            raise UsageError(sentence(error)) from None
        if into := asked.options.get("into"):
            variables[into] = table.df()
        return table


def parsed(line: str, cell: str | None) -> Asked:
    """The options at the start of a line, and the query after them and in the cell. Raises UsageError."""
    options: dict[str, str] = {}
    while found := _OPTION.match(line):
        name, value = found["name"], found["value"]
        if name not in OPTIONS:
            raise UsageError(f"there is no option --{name}; known are {', '.join(f'--{known}' for known in OPTIONS)}")
        if value is None:
            raise UsageError(f"--{name} needs a value")
        options[name] = value[1:-1] if value[0] in "\"'" else value
        line = line[found.end() :]
    into = options.get("into")
    if into is not None and (not into.isidentifier() or iskeyword(into)):
        raise UsageError(f"--into needs the name of a variable, not {into!r}")
    query = "\n".join(part for part in (line.strip(), cell or "") if part.strip())
    if not query:
        raise UsageError("there is no query; try: %sql from model_costs")
    if "home" in options:
        options["home"] = str(Path(options["home"]).expanduser())
    return Asked(options, query)


def with_parameters(query: str) -> tuple[str, frozenset[str]]:
    """The query with `{name}` written as `$name`, and those names; what is in strings and comments stays as it is."""
    names: set[str] = set()

    def written(found: re.Match[str]) -> str:
        name = found["dollar"] or found["braces"]
        if name is None:
            return found[0]
        names.add(name)
        return f"${name}"

    return _TOKENS.sub(written, query), frozenset(names)


def _value(variables: Mapping[str, Any], name: str) -> Any:
    """A variable as DuckDB takes it: NumPy's numbers and arrays become plain ones."""
    if name not in variables:
        raise UsageError(f"the query names ${name}, and there is no such variable in the notebook")
    value = variables[name]
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value) if isinstance(value, set | frozenset) else value
