"""What carries rounds: the local loop, Flower and TensorFlow Federated."""
