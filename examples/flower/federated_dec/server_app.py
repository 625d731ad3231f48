"""The server: the phases of federated DEC, and what becomes of their result."""

from flwr.app import Context

from federated.backends.flower import Plan, server_app
from federated.core.rounds import Position
from federated.estimators.dec import build_dec
from federated_dec.task import build_config, build_phases


def plan(context: Context) -> Plan:
    """Returns what to do."""
    options = context.run_config
    return Plan(build_phases(options), int(options["clients"]), seed=int(options["seed"]))


def finish(context: Context, result: Position) -> None:
    """Saves the model as a `tfcluster.DEC`, which `tfcluster predict` reads too."""
    options = context.run_config
    model = build_dec(result, build_config(options).model, seed=int(options["seed"]))
    model.save(str(options["out"]))
    print(f"Saved {options['out']}.")


app = server_app(plan, finish)
