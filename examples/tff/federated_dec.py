"""Federated DEC in a TensorFlow Federated project: your context, clients, sampling and loop."""

import argparse
import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.backends.processes import backend_processes
from federated.backends.tff.process import SamplesInput
from federated.core.algorithm import ClientData
from federated.core.local_training import LocalWork
from federated.core.scaling import Scaling
from federated.estimators.tff_processes import build_processes
from federated.phases.dec import FederatedDECConfig
from tfcluster import DEC, load_data, metrics
from tfcluster.config import DEC_PRESETS
from tfcluster.files import unpack_arrays

N_CLUSTERS = 10
CLIENTS_PER_ROUND = 4


def main() -> None:
    """Trains on five clients of the digits and prints losses and accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretrain-rounds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    data = load_data("digits")
    clients = {
        f"client {i}": tf.data.Dataset.from_tensor_slices((data.X[i::5], data.y[i::5]))
        for i in range(5)
    }
    config = FederatedDECConfig(
        # scaling="rms" is found over all clients: a phase of its own, like the others below
        model=dataclasses.replace(DEC_PRESETS["keras"], dims=(128, 64, 10), scaling="rms"),
        pretrain_rounds=args.pretrain_rounds,
        pretraining=LocalWork(epochs=4, batch_size=64),
        rounds=args.rounds,
        clustering=LocalWork(steps=10, batch_size=64),
    )
    # TFF can leave the worker of its context running, e.g. if this process is killed
    with backend_processes():
        tff.backends.native.set_sync_local_cpp_execution_context()
        artifacts = train(clients, config, data.X.shape[1], args.seed)

    dec = DEC.from_weights(
        unpack_arrays("encoder", artifacts),
        unpack_arrays("decoder", artifacts),
        artifacts["clusters"],
        config.model,
        scale=float(artifacts["scale"]),
    )
    print(f"accuracy {metrics.accuracy(data.y, dec.predict(data.X)):.3f}")


def train(clients, config, n_features, seed):
    """Runs all phases and returns what they found, as arrays by name."""
    sample = tff.simulation.build_uniform_sampling_fn(list(clients), random_seed=seed)
    rng = np.random.default_rng(seed)
    artifacts = {}
    for phase in build_processes(config, n_features, N_CLUSTERS, seed):
        scaling = Scaling.from_artifacts(artifacts)
        state = phase.begin(artifacts)
        for number in range(phase.n_rounds):
            current = phase.round(number, state)
            n_sampled = len(clients) if current.full_participation else CLIENTS_PER_ROUND
            names = sample(number, n_sampled)
            inputs = [client_input(clients[name], scaling, rng) for name in names]
            carried = current.carry_over(current.process.next(state, inputs))
            state = carried.state
            found = {**carried.losses, **carried.metrics}.items()
            numbers = [f"{name} {value:.4g}" for name, value in found if np.isscalar(value)]
            print(f"{phase.name}, round {number + 1}, {current.kind}:", *numbers, flush=True)
            if carried.converged:
                break
        artifacts |= phase.end(state)
    return artifacts


def client_input(dataset, scaling, rng):
    """Returns a client's samples, preprocessed, and the seed of what it draws in the round."""
    x, y = next(dataset.batch(len(dataset)).as_numpy_iterator())
    return SamplesInput(ClientData(scaling(x), y), rng.integers(2**31 - 1, dtype=np.int32))


if __name__ == "__main__":
    main()
