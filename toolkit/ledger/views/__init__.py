"""The questions that analysts ask, as views and named statements."""
