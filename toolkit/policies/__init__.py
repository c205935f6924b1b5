"""What to do next about a request: pure values over the facts, joined by `|`, the first opinion wins.

Within(usd=0.02) | Retry(2) | Repair(1) | Escalate(below=0.5) | Fallback()
"""

from __future__ import annotations

from toolkit.policies.again import Refit as Refit
from toolkit.policies.again import Repair as Repair
from toolkit.policies.again import Retry as Retry
from toolkit.policies.bounds import Once as Once
from toolkit.policies.bounds import When as When
from toolkit.policies.bounds import Within as Within
from toolkit.policies.moves import Accept as Accept
from toolkit.policies.moves import Facts as Facts
from toolkit.policies.moves import Flight as Flight
from toolkit.policies.moves import GiveUp as GiveUp
from toolkit.policies.moves import Move as Move
from toolkit.policies.moves import Park as Park
from toolkit.policies.moves import Try as Try
from toolkit.policies.moves import Wait as Wait
from toolkit.policies.others import Escalate as Escalate
from toolkit.policies.others import Fallback as Fallback
from toolkit.policies.others import Hedge as Hedge
from toolkit.policies.policy import Joined as Joined
from toolkit.policies.policy import Policy as Policy
from toolkit.policies.policy import decide as decide

__all__ = [
    "Accept", "Escalate", "Facts", "Fallback", "Flight", "GiveUp", "Hedge", "Joined", "Move", "Once", "Park",
    "Policy", "Refit", "Repair", "Retry", "Try", "Wait", "When", "Within", "decide",
]  # fmt: skip
