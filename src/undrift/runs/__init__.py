"""Runs: what they are asked for, where they live and what they write."""
