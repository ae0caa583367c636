"""What users do with a run from beginning to end, and what they are shown of it."""
