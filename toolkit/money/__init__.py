"""What a call costs, by which list, and what may be spent."""
