"""Batch predictions of the champion, each batch once, as it could be predicted at the time."""
