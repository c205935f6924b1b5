"""Everything that goes wrong at once, and what is left of a batch afterwards."""
