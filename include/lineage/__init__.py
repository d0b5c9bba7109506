"""Lineage: OpenLineage events that say what each step read and wrote, and the walk from a champion to its raw files."""
