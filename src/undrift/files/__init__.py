"""Files that are whole: written so that a crash cannot tear them, read so that damage is found."""
