"""The things that the loop can train."""
