"""Benchmarks of poses: what is measured of every data set, and how it is told."""
