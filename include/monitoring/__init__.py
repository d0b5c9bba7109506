"""Compares what the champion meets with what it was trained on, window by window; measures it once labels are in."""
