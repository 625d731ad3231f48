"""Federated DEC in a Flower app."""
