"""Notebooks, and `python -m notebooks.execute`, which runs them."""
