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

from typing import TYPE_CHECKING, Any

from toolkit.lazily import lazily

if TYPE_CHECKING:
    from toolkit import grading as grading
    from toolkit.context import CutMiddle as CutMiddle
    from toolkit.context import DropOldest as DropOldest
    from toolkit.context import Keep as Keep
    from toolkit.context import Retrieve as Retrieve
    from toolkit.context import Summarise as Summarise
    from toolkit.evaluation.comparing import compare as compare
    from toolkit.evaluation.counterfactual import counterfactual as counterfactual
    from toolkit.evaluation.drift import drift as drift
    from toolkit.evaluation.gate import gate as gate
    from toolkit.evaluation.replay import replay as replay
    from toolkit.fleet import Fleet as Fleet
    from toolkit.graph.steps import step as step
    from toolkit.graph.workflow import Workflow as Workflow
    from toolkit.ledger import History as History
    from toolkit.ledger import Journal as Journal
    from toolkit.models.spec import ModelSpec as ModelSpec
    from toolkit.money.budgets import Budget as Budget
    from toolkit.people.inbox import Inbox as Inbox
    from toolkit.people.sessions import Session as Session
    from toolkit.policies import Escalate as Escalate
    from toolkit.policies import Fallback as Fallback
    from toolkit.policies import Hedge as Hedge
    from toolkit.policies import Once as Once
    from toolkit.policies import Refit as Refit
    from toolkit.policies import Repair as Repair
    from toolkit.policies import Retry as Retry
    from toolkit.policies import Within as Within
    from toolkit.prompts.prompting import Skip as Skip
    from toolkit.prompts.prompting import embed as embed
    from toolkit.prompts.prompting import prompt as prompt
    from toolkit.prompts.prompting import template as template
    from toolkit.prompts.tools import tool as tool
    from toolkit.records import Reply as Reply
    from toolkit.records import Request as Request
    from toolkit.redaction import Redact as Redact
    from toolkit.routing import Balanced as Balanced
    from toolkit.routing import Cheapest as Cheapest
    from toolkit.routing import Explore as Explore
    from toolkit.routing import Fastest as Fastest
    from toolkit.routing import Fixed as Fixed
    from toolkit.routing import Judge as Judge
    from toolkit.routing import Ladder as Ladder
    from toolkit.routing import Learned as Learned
    from toolkit.routing import Measured as Measured
    from toolkit.routing import Rule as Rule
    from toolkit.routing import Rules as Rules
    from toolkit.routing import Shadow as Shadow
    from toolkit.routing import Similarity as Similarity
    from toolkit.routing import Split as Split
    from toolkit.routing import Sticky as Sticky
    from toolkit.routing import Thompson as Thompson
    from toolkit.routing import Uniform as Uniform
    from toolkit.routing import Where as Where
    from toolkit.routing.custom import router as router
    from toolkit.widgets import changes as changes
    from toolkit.widgets import label as label
    from toolkit.widgets import review as review
    from toolkit.widgets import show as show
    from toolkit.widgets import watch as watch

_HOMES = {
    "Balanced": "toolkit.routing",
    "Budget": "toolkit.money.budgets",
    "Cheapest": "toolkit.routing",
    "CutMiddle": "toolkit.context",
    "DropOldest": "toolkit.context",
    "Escalate": "toolkit.policies",
    "Explore": "toolkit.routing",
    "Fallback": "toolkit.policies",
    "Fastest": "toolkit.routing",
    "Fixed": "toolkit.routing",
    "Fleet": "toolkit.fleet",
    "Hedge": "toolkit.policies",
    "History": "toolkit.ledger",
    "Inbox": "toolkit.people.inbox",
    "Journal": "toolkit.ledger",
    "Judge": "toolkit.routing",
    "Keep": "toolkit.context",
    "Ladder": "toolkit.routing",
    "Learned": "toolkit.routing",
    "Measured": "toolkit.routing",
    "ModelSpec": "toolkit.models.spec",
    "Once": "toolkit.policies",
    "Redact": "toolkit.redaction",
    "Refit": "toolkit.policies",
    "Repair": "toolkit.policies",
    "Reply": "toolkit.records",
    "Request": "toolkit.records",
    "Retrieve": "toolkit.context",
    "Retry": "toolkit.policies",
    "Rule": "toolkit.routing",
    "Rules": "toolkit.routing",
    "Session": "toolkit.people.sessions",
    "Shadow": "toolkit.routing",
    "Similarity": "toolkit.routing",
    "Skip": "toolkit.prompts.prompting",
    "Split": "toolkit.routing",
    "Sticky": "toolkit.routing",
    "Summarise": "toolkit.context",
    "Thompson": "toolkit.routing",
    "Uniform": "toolkit.routing",
    "Where": "toolkit.routing",
    "Within": "toolkit.policies",
    "Workflow": "toolkit.graph.workflow",
    "as_flow": "toolkit.orchestration",
    "changes": "toolkit.widgets",
    "compare": "toolkit.evaluation.comparing",
    "counterfactual": "toolkit.evaluation.counterfactual",
    "drift": "toolkit.evaluation.drift",
    "embed": "toolkit.prompts.prompting",
    "gate": "toolkit.evaluation.gate",
    "grading": "",
    "label": "toolkit.widgets",
    "prompt": "toolkit.prompts.prompting",
    "replay": "toolkit.evaluation.replay",
    "review": "toolkit.widgets",
    "router": "toolkit.routing.custom",
    "show": "toolkit.widgets",
    "step": "toolkit.graph.steps",
    "template": "toolkit.prompts.prompting",
    "tool": "toolkit.prompts.tools",
    "watch": "toolkit.widgets",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)
__getattr__ = lazily(__name__, _HOMES)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext toolkit` in a notebook: from then on `%%sql` asks the history (`toolkit.magics`)."""
    from toolkit.magics import SqlMagics

    shell.register_magics(SqlMagics)


def __dir__() -> list[str]:
    return __all__
