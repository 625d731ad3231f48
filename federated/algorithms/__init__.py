"""The federated algorithms: each what clients compute, and what the server makes of it."""
