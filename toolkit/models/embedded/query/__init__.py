"""Questions about a table of orders, read by patterns and put as SQL."""
