"""Rows by steps, over processes: beginning, feeding, resuming, retrying, forking a run."""
