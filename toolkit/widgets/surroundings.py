"""Where something is shown: in a notebook's kernel, which can have widgets, or elsewhere."""

from __future__ import annotations

import sys


def has_kernel() -> bool:
    """Whether this is the kernel of a notebook, or of a console that is one."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
