"""Imported once by the process that workers are forked from: the library, and a first look through a network."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)  # a pool of threads would not survive the fork

import InteractiveRefineLib.segmentation_io  # noqa: E402, F401
import InteractiveRefineLib.worker.server  # noqa: E402, F401
from Testing.tests.session_examples import a_session, usual_constraints  # noqa: E402


def warm_up() -> None:
    """What torch and scipy do once per process (a second), done once for all forks; autograd's threads must not be."""
    session = a_session(update="protected", steps=2)
    session.predict()
    usual_constraints(session)


warm_up()
