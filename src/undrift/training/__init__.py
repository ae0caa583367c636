"""Training: what is trained, the loop that trains it, and what lets a run survive."""
