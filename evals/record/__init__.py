"""What it costs to keep a record, and how large a record still answers at once."""
