"""Features: built from the raw tables, kept in the lake, served by Feast offline and online."""
