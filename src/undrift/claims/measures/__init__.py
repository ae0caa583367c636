"""Measurements of one finished run, or of the runs of one seed."""
