"""The version, for records and for the command line."""

__version__ = "0.1.0"
