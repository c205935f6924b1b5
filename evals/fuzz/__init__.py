"""Fuzzing of what reads bytes from servers: whatever comes, decoding gives a Reply or one of our errors."""
