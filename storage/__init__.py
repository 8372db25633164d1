"""SQLite and files; knows nobody."""
