"""The exhibits of each claim: figures for a page and for print, and tables."""
