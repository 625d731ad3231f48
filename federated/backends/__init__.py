"""Backends, which transport the rounds: the local loop, Flower and TensorFlow Federated."""
