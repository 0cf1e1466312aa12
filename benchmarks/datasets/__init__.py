"""Public data sets with true cameras, each in its official layout."""
