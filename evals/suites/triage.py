"""The triage of the support desk alone, by the small model: what the judge of `judge.toml` judges."""

from __future__ import annotations

import toolkit as tk
from toolkit.examples.support.workflow import triage

triage_alone = tk.Workflow("triage", [triage.with_route(tk.Fixed("small"))], policy=tk.Once())
