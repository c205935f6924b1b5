"""The journal: what every process writes while it works, durable before it counts."""
