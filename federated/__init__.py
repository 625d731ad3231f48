"""The federated forms of the algorithms (to come)."""
