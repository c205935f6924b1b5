"""The analyst's file: its tables, its migrations, and opening it without losing a lock."""
