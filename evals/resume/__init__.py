"""Kill -9 at every phase of a batch, resume, and count what was paid for twice."""
