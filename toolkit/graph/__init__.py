"""A workflow as a graph of steps, and one row's way through it."""
