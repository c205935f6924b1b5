"""The loop that asks, and one try of it: a question in, an answer out."""
