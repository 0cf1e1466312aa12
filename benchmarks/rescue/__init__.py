"""Photographs that are hard to reconstruct, and what the rescue makes of them."""
