"""Fitting a prompt to the window of the model chosen: strategies as values, joined by `|`. Pure.

    Fit.fit(request, room) ─▶ Fitted(request, dropped), or a generator that asks models on the way to it

    Keep         drop nothing
    DropOldest   oldest turns of a conversation first
    CutMiddle    the middle of the longest data and results of tools
    Retrieve     passages and old turns that are least like the question
    Summarise    a cheap model says in short what must go

The instruction, the last turn and the words of the workflow's author always go out. `docs/context.md` has examples.
"""

from toolkit.context.cutting import GAP as GAP
from toolkit.context.cutting import CutMiddle as CutMiddle
from toolkit.context.dropping import DropOldest as DropOldest
from toolkit.context.fit import CannotFit as CannotFit
from toolkit.context.fit import Fit as Fit
from toolkit.context.fit import Fitted as Fitted
from toolkit.context.fit import Joined as Joined
from toolkit.context.fit import Keep as Keep
from toolkit.context.fit import Shortening as Shortening
from toolkit.context.retrieving import Retrieve as Retrieve
from toolkit.context.room import BYTES_PER_TOKEN as BYTES_PER_TOKEN
from toolkit.context.room import OUTPUT_SHARE_TOKENS as OUTPUT_SHARE_TOKENS
from toolkit.context.room import Room as Room
from toolkit.context.room import output_share_tokens as output_share_tokens
from toolkit.context.room import text_bytes as text_bytes
from toolkit.context.summarising import Summarise as Summarise
