"""One file per kind of source; :mod:`undrift.data.sources.opening` chooses it."""
