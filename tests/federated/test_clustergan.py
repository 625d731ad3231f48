"""Federated ClusterGAN on the local backend against centralized training.

The other backends are compared with the local one in `test_parity`.
"""

import contextlib
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork, GeneratorAtClients, GeneratorAtServer
from federated.algorithms.evaluation import ClusterPass, evaluate
from federated.algorithms.gan_codes import GANArgmax, GANCodes, NearestCentroid
from federated.algorithms.kmeans import LloydIteration
from federated.backends.local import LocalBackend
from federated.core.aggregation import FedAdam, FedAvg, FedProx, Median
from federated.core.sampling import ClientSampler, Participant
from tests.federated.helpers import GANOutputs, clients_of, distance
from tests.tfcluster.helpers import blobs
from tfcluster import InputError
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GANConfig

CONFIG = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16, shuffle=True)
X, _ = blobs(150)
PARTS = [X[:10], X[10:50], X[50:]]
NAN, WHOLE, ONE_SAMPLE, MAD = 3, 4, 5, 6
CLIENTS = clients_of([*PARTS, np.full((20, 6), np.nan), X, X[:1], 1e3 * X])
FEDAVG = FedAvg()
N_ROUNDS = 3
OUTPUTS = GANOutputs(6, 3, CONFIG)


@pytest.fixture(scope="module")
def backend():
    """One for all tests, so that each algorithm is compiled once."""
    with contextlib.closing(LocalBackend(CLIENTS)) as made:
        yield made


def algorithm(kind, carry=True, rule=FEDAVG, config=CONFIG):
    fields = {"seed": 7} if kind is GeneratorAtServer else {}
    return kind(6, AdversarialWork(4, carry), rule, 3, config, **fields)


def begun(alg):
    return alg.initial_state(*OUTPUTS.start())


def run(backend, alg, clients, first=0, last=N_ROUNDS, state=None):
    state = state or begun(alg)
    for number in range(first, last):
        participants = [Participant(client, 100 * number + client) for client in clients]
        result = backend.run_round(alg, state, participants)
        state = result.state
    return result


def weights_of(alg, state):
    """Returns all networks' weights, in their order."""
    parts = alg.networks(state, list(map(len, OUTPUTS.start())))
    return [weight for part in parts for weight in part]


def compare(found, expected):
    """Returns the distance of outputs, relative to the distance moved."""
    start = OUTPUTS([weight for weights in OUTPUTS.start() for weight in weights])
    found, expected = OUTPUTS(found), OUTPUTS(expected)
    return distance(found, expected) / distance(start, expected)


def centralized(iterate, resets=()):
    """Trains by `iterate(trainer, x, seed, round)`, with optimizers that go on."""
    trainer = GANTrainer(6, 3, CONFIG)
    trainer.reset(1)
    work = tf.function(lambda x, seed, number: iterate(trainer, x, seed, number))
    for number in range(N_ROUNDS):
        for name in resets:
            getattr(trainer, name).reset()
        seed = tf.constant(100 * number + WHOLE)
        losses = work(tf.constant(X, tf.float32), seed, tf.constant(number, tf.int64))
    return trainer, losses, [v.numpy() for network in trainer.networks for v in network.weights]


NUMBERS = tf.range(4, dtype=tf.int64)


def test_one_client_with_a_carried_optimizer_is_centralized_training(backend):
    alg = algorithm(GeneratorAtClients)
    result = run(backend, alg, [WHOLE])
    trainer, (critic_losses, losses), expected = centralized(
        lambda trainer, x, seed, number: trainer.iterate(x, seed, NUMBERS)
    )
    assert compare(result.state.weights, expected) < 1e-5
    assert float(result.metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(result.metrics["critic_loss"]) == pytest.approx(np.mean(critic_losses), rel=1e-5)
    critic, others = trainer.critic_optimizer, trainer.other_optimizer
    n = len(trainer.networks.generator.weights)
    moments = [
        moment
        for other, own in zip(others.slots, critic.slots, strict=True)
        for moment in (*other[:n], *own, *other[n:])
    ]
    iterations, found = result.state.iterations, result.state.moments
    assert iterations == others.step == critic.step // 2 == 4 * N_ROUNDS
    assert distance(found, moments) < 1e-5 * distance(moments, [np.zeros(m.shape) for m in moments])
    # and without what was carried it would go elsewhere
    fresh = run(backend, algorithm(GeneratorAtClients, carry=False), [WHOLE])
    assert compare(fresh.state.weights, expected) > 1e-2


@pytest.mark.parametrize("carry", [False, True])
def test_a_server_trains_the_generator_after_the_critics_steps(backend, carry):
    """One client against a trainer whose critic takes all steps of a round first."""
    alg = algorithm(GeneratorAtServer, carry)

    def iterate(trainer, x, seed, number):
        trainer.train_critic(x, seed, NUMBERS)
        return trainer.train_generator(tf.constant(7), 4 * number + NUMBERS)

    result = run(backend, alg, [WHOLE])
    _, losses, expected = centralized(iterate, resets=() if carry else ["critic_optimizer"])
    assert compare(weights_of(alg, result.state), expected) < 1e-5
    assert float(result.metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def n_numbers(tensors):
    return sum(t.shape.num_elements() for t in tensors)


def n_carried(state):
    return n_numbers(tf.nest.flatten((state.moments, state.iterations)))


@pytest.mark.parametrize("carry", [False, True])
def test_states_hold_trained_weights_and_carried_moments_alone(carry):
    """Batches are normalized by themselves: there are no running statistics to average."""
    networks = OUTPUTS.trainer.networks
    assert not any(network.non_trainable_variables for network in networks)
    generator, critic, encoder = (network.count_params() for network in networks)
    everything = generator + critic + encoder
    state = begun(algorithm(GeneratorAtClients, carry))
    assert n_numbers(state.weights) == everything
    assert n_carried(state) == (1 + 2 * everything if carry else 0)
    assert state.optimizer == ()
    alg = algorithm(GeneratorAtServer, carry)
    state = begun(alg)
    assert n_numbers(state.weights) == critic
    assert n_numbers(state.generator) == generator
    assert n_carried(state) == (1 + 2 * critic if carry else 0)
    assert n_numbers(state.encoder) == encoder
    assert n_numbers(state.server_moments) == 2 * (generator + encoder)
    assert n_numbers([state.server_steps]) == 1
    assert state.optimizer == ()
    sent = alg.broadcast(state)
    assert sent.optimizer == sent.encoder == sent.server_moments == sent.server_steps == ()
    assert n_numbers(tf.nest.flatten(sent)) == critic + generator + n_carried(state)


def test_a_median_is_not_moved_by_one_of_three(backend):
    median = algorithm(GeneratorAtClients, rule=Median())
    mean = algorithm(GeneratorAtClients)
    start = begun(median).weights
    by_median, by_mean = (
        distance(run(backend, alg, [0, 1, MAD]).state.weights, start) for alg in (median, mean)
    )
    calm = distance(run(backend, median, [0, 1, 2]).state.weights, start)
    assert 0 < by_median < 1.5 * calm
    assert by_mean != pytest.approx(by_median, rel=1e-2)


def test_a_rule_with_slots_of_its_own_and_a_pull_of_clients(backend):
    alg = algorithm(GeneratorAtServer, rule=FedAdam())
    state = run(backend, alg, [0, 1, 2]).state
    assert len(state.optimizer) == len(begun(alg).optimizer) == 2 * len(state.weights)
    assert all(np.isfinite(w).all() for w in weights_of(alg, state))
    pulled = algorithm(GeneratorAtServer, rule=FedProx(proximal=1e3))
    free = algorithm(GeneratorAtServer)
    start = begun(free).weights
    held, moved = (run(backend, a, [0, 1, 2], last=1).state.weights for a in (pulled, free))
    assert distance(held, start) < 0.9 * distance(moved, start)


@pytest.mark.parametrize("kind", [GeneratorAtClients, GeneratorAtServer])
def test_clients_without_finite_numbers_are_left_out(backend, kind):
    alg = algorithm(kind)
    result = run(backend, alg, [0, 1, 2, NAN])
    assert result.left_out == [NAN]
    three = run(backend, alg, [0, 1, 2])
    assert compare(weights_of(alg, result.state), weights_of(alg, three.state)) < 1e-5


@pytest.mark.parametrize("kind", [GeneratorAtClients, GeneratorAtServer])
def test_a_resumed_run_has_the_same_bits(backend, kind):
    alg = algorithm(kind)
    half = run(backend, alg, [0, 2], last=2).state
    whole = run(backend, alg, [0, 2], 2, 4, half).state
    with contextlib.closing(LocalBackend(CLIENTS)) as other:
        again = run(other, alg, [0, 2], 2, 4, half).state
    for a, b in zip(tf.nest.flatten(whole), tf.nest.flatten(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_client_may_have_one_sample(backend):
    assert run(backend, algorithm(GeneratorAtClients), [ONE_SAMPLE, WHOLE]).left_out == []


@pytest.mark.parametrize("beta_n", [10.0, 0.0])
def test_codes_and_labels_are_those_of_the_clients_own_inference(backend, beta_n):
    """Each client has batches of its own, the last one filled with generated samples."""
    config = dataclasses.replace(CONFIG, beta_n=beta_n)
    generator, _, encoder = OUTPUTS.start()
    own = [OUTPUTS.trainer.inference.encode(x) for x in PARTS]
    used = [codes if beta_n else codes[:, 2:] for codes in own]
    participants = ClientSampler(3).participants(0, full_participation=True)
    centroids = used[2][:3]
    lloyd = LloydIteration(6, GANCodes(3, config))
    begin = lloyd.initial_state([*generator, *encoder], centroids[np.newaxis])
    metrics = backend.run_round(lloyd, begin, participants).metrics
    pooled = np.concatenate(used).astype(np.float64)
    distances = np.square(pooled[:, np.newaxis] - centroids).sum(axis=2)
    assert float(metrics["inertia"][0]) == pytest.approx(distances.min(axis=1).sum(), rel=1e-5)
    argmax = ClusterPass(6, GANArgmax(3, config))
    found = evaluate(backend, participants, argmax, [*generator, *encoder]).sizes
    expected = [np.bincount(c[:, 2:].argmax(axis=1), minlength=3) for c in own]
    np.testing.assert_array_equal(found, expected)
    nearest = ClusterPass(6, NearestCentroid(GANCodes(3, config), 3))
    found = evaluate(backend, participants, nearest, [*generator, *encoder, centroids]).sizes
    ends = np.cumsum([len(x) for x in PARTS])[:-1]
    parts = np.split(distances.argmin(axis=1), ends)
    np.testing.assert_array_equal(found, [np.bincount(part, minlength=3) for part in parts])


def test_mistakes():
    with pytest.raises(InputError, match="iterations"):
        AdversarialWork(0)
    with pytest.raises(InputError, match="carry_optimizer"):
        AdversarialWork(3, 1)
    alg = algorithm(GeneratorAtClients, config=dataclasses.replace(CONFIG, networks="image"))
    with pytest.raises(InputError, match="28 x 28"):
        alg.make_learner()


def test_convolutions_in_the_loop_of_a_round():
    """The steps of image networks are functions of their own there; see `GANTrainer`."""
    config = GANConfig(networks="image", n_noise=2, critic_steps=1, batch_size=16, shuffle=True)
    x = np.random.default_rng(0).uniform(size=(20, 784))
    alg = GeneratorAtClients(784, AdversarialWork(1), FEDAVG, 3, config)
    trainer = alg.trainer()
    state = alg.initial_state(*(network.get_weights() for network in trainer.networks))
    with contextlib.closing(LocalBackend(clients_of([x]))) as backend:
        result = backend.run_round(alg, state, [Participant(0, 0)])
    assert np.isfinite(result.metrics["loss"])
    assert result.left_out == []
