"""A client of a real worker, for the time of a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from InteractiveRefineLib.worker.client import WorkerClient
from Testing.tests.worker_examples import Listener

from .forked_worker import ForkedTransport


@contextmanager
def a_client(prepare=None) -> Iterator[tuple[WorkerClient, Listener]]:
    client = WorkerClient(lambda inlet: ForkedTransport(inlet, prepare))
    try:
        yield client, _Ears(client)
    finally:
        transport = client.transport
        client.kill()
        if transport is not None:
            transport.end()


class _Ears(Listener):
    """A listener that gives back the newest answer, also after an error."""

    def ask(self, request, **_):
        self.results.clear()
        self.client.submit(request)
        while self.client.waiting:
            self.client.transport.pump(0.2)
        return (self.results or self.errors)[-1]


@contextmanager
def replaced(holder, name: str, value) -> Iterator[None]:
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)
