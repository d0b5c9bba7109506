"""Evaluation: is the model what its training wrote, and does it beat the champion on rows that neither has seen?"""
