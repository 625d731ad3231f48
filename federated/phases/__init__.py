"""Sequences of rounds that make up a whole run."""
