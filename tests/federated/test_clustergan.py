"""Federated ClusterGAN on the local carrier against central training; carriers: `test_parity`."""

import contextlib
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from federated.algorithms.clustergan import AdversarialWork, AverageGAN, SplitGAN
from federated.algorithms.evaluation import ClusterPass, federated_scores
from federated.algorithms.gan_codes import GANArgmax, GANCodes, NearestCenter
from federated.algorithms.kmeans import FederatedLloyd
from federated.backends.local import LocalCarrier
from federated.core.aggregation import aggregation
from federated.core.sampling import Participant, Plan
from tests.federated.helpers import GANOutputs, clients_of, distance
from tests.tfcluster.helpers import blobs
from tfcluster import InputError
from tfcluster.clustergan.trainer import GANTrainer
from tfcluster.config import GANConfig

CONFIG = GANConfig(networks="pendigits", n_noise=2, critic_steps=2, batch_size=16, shuffle=True)
X, _ = blobs(n_rows=150)
PARTS = [X[:10], X[10:50], X[50:]]
NAN, WHOLE, ONE_ROW, MAD = 3, 4, 5, 6
CLIENTS = clients_of([*PARTS, np.full((20, 6), np.nan), X, X[:1], 1e3 * X])
FEDAVG = aggregation("fedavg")
N_ROUNDS = 3
OUTPUTS = GANOutputs(6, 3, CONFIG)


@pytest.fixture(scope="module")
def carrier():
    """One for all tests, so that each algorithm is compiled once."""
    with contextlib.closing(LocalCarrier(CLIENTS)) as made:
        yield made


def algorithm(kind, carry=True, rule=FEDAVG, config=CONFIG):
    fields = {"seed": 7} if kind is SplitGAN else {}
    return kind(6, AdversarialWork(4, carry), rule, 3, config, **fields)


def begun(alg):
    return alg.first_state(*OUTPUTS.start())


def run(carrier, alg, clients, first=0, last=N_ROUNDS, state=None):
    state = state or begun(alg)
    for number in range(first, last):
        participants = [Participant(client, 100 * number + client) for client in clients]
        result = carrier.round(alg, state, participants)
        state = result.state
    return result


def weights_of(alg, state):
    """All networks' weights, in their order."""
    parts = alg.networks(state, list(map(len, OUTPUTS.start())))
    return [weight for part in parts for weight in part]


def compare(found, expected):
    """The distance of outputs, in distances moved."""
    start = OUTPUTS([weight for weights in OUTPUTS.start() for weight in weights])
    found, expected = OUTPUTS(found), OUTPUTS(expected)
    return distance(found, expected) / distance(start, expected)


def central(iterate, resets=()):
    """A trainer whose optimisers go on, in the hands of `iterate(trainer, x, seed, round)`."""
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


def test_one_client_with_a_carried_optimiser_is_central_training(carrier):
    alg = algorithm(AverageGAN)
    result = run(carrier, alg, [WHOLE])
    trainer, (critic_losses, losses), expected = central(
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
    done, *found = result.state.context
    assert done == others.step == critic.step // 2 == 4 * N_ROUNDS
    assert distance(found, moments) < 1e-5 * distance(moments, [np.zeros(m.shape) for m in moments])
    # and without what was carried it would go elsewhere
    fresh = run(carrier, algorithm(AverageGAN, carry=False), [WHOLE])
    assert compare(fresh.state.weights, expected) > 1e-2


@pytest.mark.parametrize("carry", [False, True])
def test_split_takes_the_critics_steps_then_the_others(carrier, carry):
    """One client against a trainer whose critic takes all steps of a round first."""
    alg = algorithm(SplitGAN, carry)

    def iterate(trainer, x, seed, number):
        trainer.train_critic(x, seed, NUMBERS)
        return trainer.train_generator(tf.constant(7), 4 * number + NUMBERS)

    result = run(carrier, alg, [WHOLE])
    _, losses, expected = central(iterate, resets=() if carry else ["critic_optimizer"])
    assert compare(weights_of(alg, result.state), expected) < 1e-5
    assert float(result.metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def n_numbers(tensors):
    return sum(t.shape.num_elements() for t in tensors)


@pytest.mark.parametrize("carry", [False, True])
def test_states_hold_trained_weights_and_carried_moments_alone(carry):
    """Batches are normalised by themselves: there are no running statistics to average."""
    networks = OUTPUTS.trainer.networks
    assert not any(network.non_trainable_variables for network in networks)
    generator, critic, encoder = (network.count_params() for network in networks)
    everything = generator + critic + encoder
    state = begun(algorithm(AverageGAN, carry))
    assert n_numbers(state.weights) == everything
    assert n_numbers(state.context) == (1 + 2 * everything if carry else 0)
    assert state.slots == ()
    alg = algorithm(SplitGAN, carry)
    state = begun(alg)
    assert n_numbers(state.weights) == critic
    assert n_numbers(state.context) == generator + (1 + 2 * critic if carry else 0)
    assert n_numbers(state.slots) == 1 + encoder + 2 * (generator + encoder)
    assert alg.broadcast(state).slots == ()


def test_a_median_is_not_moved_by_one_of_three(carrier):
    alg = algorithm(AverageGAN, rule=aggregation("median"))
    start = begun(alg).weights
    moved = {
        rule: distance(run(carrier, algorithm(AverageGAN, rule=aggregation(rule)), [0, 1, MAD])
                       .state.weights, start)
        for rule in ("median", "fedavg")
    }  # fmt: skip
    calm = distance(run(carrier, alg, [0, 1, 2]).state.weights, start)
    assert 0 < moved["median"] < 1.5 * calm
    assert moved["fedavg"] != pytest.approx(moved["median"], rel=1e-2)


def test_a_rule_with_slots_of_its_own_and_a_pull_of_clients(carrier):
    alg = algorithm(SplitGAN, rule=aggregation("fedadam"))
    state = run(carrier, alg, [0, 1, 2]).state
    assert len(state.slots) == len(begun(alg).slots)
    assert all(np.isfinite(w).all() for w in weights_of(alg, state))
    pulled = algorithm(SplitGAN, rule=aggregation("fedprox", proximal=1e3))
    free = algorithm(SplitGAN)
    start = begun(free).weights
    held, moved = (run(carrier, a, [0, 1, 2], last=1).state.weights for a in (pulled, free))
    assert distance(held, start) < 0.9 * distance(moved, start)


@pytest.mark.parametrize("kind", [AverageGAN, SplitGAN])
def test_clients_without_finite_numbers_are_left_out(carrier, kind):
    alg = algorithm(kind)
    result = run(carrier, alg, [0, 1, 2, NAN])
    assert result.left_out == [NAN]
    three = run(carrier, alg, [0, 1, 2])
    assert compare(weights_of(alg, result.state), weights_of(alg, three.state)) < 1e-5


@pytest.mark.parametrize("kind", [AverageGAN, SplitGAN])
def test_a_resumed_run_has_the_same_bits(carrier, kind):
    alg = algorithm(kind)
    half = run(carrier, alg, [0, 2], last=2).state
    whole = run(carrier, alg, [0, 2], 2, 4, half).state
    with contextlib.closing(LocalCarrier(CLIENTS)) as other:
        again = run(other, alg, [0, 2], 2, 4, half).state
    for a, b in zip(tf.nest.flatten(whole), tf.nest.flatten(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_client_may_have_one_row(carrier):
    assert run(carrier, algorithm(AverageGAN), [ONE_ROW, WHOLE]).left_out == []


@pytest.mark.parametrize("beta_n", [10.0, 0.0])
def test_codes_and_labels_are_those_of_the_clients_own_inference(carrier, beta_n):
    """Each client's rows in batches of their own, the last one filled with generated rows."""
    config = dataclasses.replace(CONFIG, beta_n=beta_n)
    generator, _, encoder = OUTPUTS.start()
    own = [OUTPUTS.trainer.inference.encode(x) for x in PARTS]
    used = [codes if beta_n else codes[:, 2:] for codes in own]
    everyone = Plan(3).round(0, everyone=True)
    centers = used[2][:3]
    lloyd = FederatedLloyd(6, GANCodes(3, config))
    begin = lloyd.state([*generator, *encoder], centers[np.newaxis])
    metrics = carrier.round(lloyd, begin, everyone).metrics
    pooled = np.concatenate(used).astype(np.float64)
    distances = np.square(pooled[:, np.newaxis] - centers).sum(axis=2)
    assert float(metrics["inertia"][0]) == pytest.approx(distances.min(axis=1).sum(), rel=1e-5)
    argmax = ClusterPass(6, GANArgmax(3, config))
    found = federated_scores(carrier, everyone, argmax, [*generator, *encoder]).sizes
    expected = [np.bincount(c[:, 2:].argmax(axis=1), minlength=3) for c in own]
    np.testing.assert_array_equal(found, expected)
    nearest = ClusterPass(6, NearestCenter(GANCodes(3, config), 3))
    found = federated_scores(carrier, everyone, nearest, [*generator, *encoder, centers]).sizes
    ends = np.cumsum([len(x) for x in PARTS])[:-1]
    parts = np.split(distances.argmin(axis=1), ends)
    np.testing.assert_array_equal(found, [np.bincount(part, minlength=3) for part in parts])


def test_mistakes():
    with pytest.raises(InputError, match="iterations"):
        AdversarialWork(0)
    with pytest.raises(InputError, match="carry_optimizer"):
        AdversarialWork(3, 1)
    alg = algorithm(AverageGAN, config=dataclasses.replace(CONFIG, networks="image"))
    with pytest.raises(InputError, match="28 x 28"):
        alg.make_learner()


def test_convolutions_in_the_loop_of_a_round():
    """Steps of image networks are functions of their own there; see `GANTrainer`."""
    config = GANConfig(networks="image", n_noise=2, critic_steps=1, batch_size=16, shuffle=True)
    rows = np.random.default_rng(0).uniform(size=(20, 784))
    alg = AverageGAN(784, AdversarialWork(1), FEDAVG, 3, config)
    trainer = alg.trainer()
    state = alg.first_state(*(network.get_weights() for network in trainer.networks))
    with contextlib.closing(LocalCarrier(clients_of([rows]))) as carrier:
        result = carrier.round(alg, state, [Participant(0, 0)])
    assert np.isfinite(result.metrics["loss"])
    assert result.left_out == []
