"""How long an epoch takes on this machine, from a few steps of it: before any run is done."""

import tempfile
import time
from collections.abc import Iterable
from itertools import chain, islice, repeat
from pathlib import Path

from stnlab.errors import UserError
from stnlab.folder import RunFolder
from stnlab.schema import ExperimentConfig
from stnlab.sweep.ledger import Kind, Standing, kind

NUM_STEPS = 20
_NUM_STEPS_BEFORE = 5  # the first are slower, and tell nothing
_SECONDS_FOR_ALL = 5.0


def seconds_an_epoch(standings: Iterable[Standing]) -> dict[Kind, float]:
    """Of some runs' training, by their kind, as far as these seconds reach.

    Nothing of kinds whose data are not at hand: nothing is downloaded.
    """
    found: dict[Kind, float] = {}
    end = time.monotonic() + _SECONDS_FOR_ALL
    configs = {kind(each): each.run.config for each in standings}
    for each, config in configs.items():
        if time.monotonic() > end:
            break
        if config.dataset.is_at_hand():
            try:
                found[each] = _seconds_an_epoch(config)
            except UserError:  # the run itself says what is wrong
                continue
    return found


def _seconds_an_epoch(config: ExperimentConfig) -> float:
    import torch

    from stnlab.evaluation import scores
    from stnlab.layers.network import build_network

    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        with tempfile.TemporaryDirectory() as nowhere:
            experiment = config.dataset.experiment(config, RunFolder(Path(nowhere)))
        network = build_network(config, experiment.spec)
        optimizer = config.optimizer.build([{"params": list(network.parameters())}])
        batches = experiment.train_batches()
        epochs = chain.from_iterable(repeat(batches))  # one may have fewer steps
        for step, batch in enumerate(islice(epochs, _NUM_STEPS_BEFORE + NUM_STEPS)):
            if step == _NUM_STEPS_BEFORE:
                began = time.perf_counter()
            inputs, targets, *lengths = batch
            optimizer.zero_grad()
            loss = scores.loss(network(inputs, *lengths), targets)
            loss.backward()
            optimizer.step()
        return len(batches) * (time.perf_counter() - began) / NUM_STEPS
    finally:
        torch.set_num_threads(threads)
