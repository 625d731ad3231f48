"""The parts that every federated algorithm is made of; knows no algorithm and no backend."""
