"""Worked examples of plug-ins: what a package of one's own would hold. Neither is part of the engine.

LinUCB    a router: a bandit with context, which decides from a snapshot
Vote      a policy: several models are asked, and the answer is what most of them say
"""

from toolkit.examples.plugins.linucb import LinUCB
from toolkit.examples.plugins.vote import Vote

__all__ = ["LinUCB", "Vote"]
