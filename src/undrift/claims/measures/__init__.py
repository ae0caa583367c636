"""Measurements of one finished run, or of runs of one seed, as plain data."""
