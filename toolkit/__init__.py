"""Dataflow orchestration of AI models: routed, recorded, resumable, compared.

    import toolkit as tk

    @tk.step(route=tk.Ladder("small", "large"), policy=tk.Retry(2) | tk.Escalate(below=0.5), output=Triage)
    def triage(ticket):
        return tk.prompt("Triage this support ticket.", ticket=ticket)

    run = tk.Workflow("support", [triage]).run("tickets.csv", tk.Fleet.load("models.toml"))
    run.sql("select request_model, count(*), sum(cost_usd) from attempts group by all")

Names load where they are first used, so that importing the package does no work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit import grading as grading
    from toolkit.context import CutMiddle as CutMiddle
    from toolkit.context import Keep as Keep
    from toolkit.fleet import Fleet as Fleet
    from toolkit.ledger import History as History
    from toolkit.ledger import Journal as Journal
    from toolkit.models.spec import ModelSpec as ModelSpec
    from toolkit.policies import Escalate as Escalate
    from toolkit.policies import Fallback as Fallback
    from toolkit.policies import Once as Once
    from toolkit.policies import Repair as Repair
    from toolkit.policies import Retry as Retry
    from toolkit.policies import Within as Within
    from toolkit.prompting import Skip as Skip
    from toolkit.prompting import embed as embed
    from toolkit.prompting import prompt as prompt
    from toolkit.records import Reply as Reply
    from toolkit.records import Request as Request
    from toolkit.redaction import Redact as Redact
    from toolkit.routing import Cheapest as Cheapest
    from toolkit.routing import Explore as Explore
    from toolkit.routing import Fixed as Fixed
    from toolkit.routing import Ladder as Ladder
    from toolkit.routing import Learned as Learned
    from toolkit.routing import Rule as Rule
    from toolkit.routing import Rules as Rules
    from toolkit.routing import Uniform as Uniform
    from toolkit.steps import step as step
    from toolkit.workflow import Workflow as Workflow

_HOMES = {
    "Cheapest": "toolkit.routing",
    "CutMiddle": "toolkit.context",
    "Escalate": "toolkit.policies",
    "Explore": "toolkit.routing",
    "Fallback": "toolkit.policies",
    "Fixed": "toolkit.routing",
    "Fleet": "toolkit.fleet",
    "History": "toolkit.ledger",
    "Journal": "toolkit.ledger",
    "Keep": "toolkit.context",
    "Ladder": "toolkit.routing",
    "Learned": "toolkit.routing",
    "ModelSpec": "toolkit.models.spec",
    "Once": "toolkit.policies",
    "Redact": "toolkit.redaction",
    "Repair": "toolkit.policies",
    "Reply": "toolkit.records",
    "Request": "toolkit.records",
    "Retry": "toolkit.policies",
    "Rule": "toolkit.routing",
    "Rules": "toolkit.routing",
    "Skip": "toolkit.prompting",
    "Uniform": "toolkit.routing",
    "Within": "toolkit.policies",
    "Workflow": "toolkit.workflow",
    "as_flow": "toolkit.orchestration",
    "embed": "toolkit.prompting",
    "grading": "",
    "prompt": "toolkit.prompting",
    "step": "toolkit.steps",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    home = _HOMES[name]
    found = getattr(import_module(home), name) if home else import_module(f"toolkit.{name}")
    globals()[name] = found
    return found


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext toolkit` in a notebook: from then on `%%sql` asks the history (`toolkit.magics`)."""
    from toolkit.magics import SqlMagics

    shell.register_magics(SqlMagics)


def __dir__() -> list[str]:
    return __all__
