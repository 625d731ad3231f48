"""The federated forms of the algorithms on a local loop, Flower and TensorFlow Federated."""
