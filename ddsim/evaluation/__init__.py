"""Experiments: configurations measured on labelled queries, and compared with intervals."""
