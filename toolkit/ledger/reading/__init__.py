"""SQL over the history and what is not merged yet, and copies of both."""
