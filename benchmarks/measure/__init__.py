"""Measures, each file one thing, and returns rows."""
