"""Ends of the line for tests of one side alone: a transport without a process, and a server in this process."""

from __future__ import annotations

import os
import select
import threading
import time

from InteractiveRefineLib.worker import wire
from InteractiveRefineLib.worker.server import Server
from InteractiveRefineLib.worker.wire import FrameDecoder


class FakeLine:
    """A transport without a process, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now, self.running = 0.0, True

    def start(self, inlet):
        self.inlet = inlet
        return self

    def write(self, data: bytes) -> None:
        pass

    def close_input(self) -> None:
        pass

    def kill(self) -> None:
        self.running = False


class ServerHere:
    """A worker's server in a thread of this process, with real pipes; a thread that breaks is a failure."""

    def __enter__(self) -> ServerHere:
        theirs, self._say = os.pipe()
        self._hear, ours = os.pipe()
        self._files = os.fdopen(theirs, "rb", 0), os.fdopen(ours, "wb", 0)
        self._server = Server(*self._files, give_up=lambda: None)
        self.broken: list = []
        self._hook, threading.excepthook = threading.excepthook, lambda args: self.broken.append(args.exc_value)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._decoder, self._inlet = FrameDecoder(), None
        return self

    def __exit__(self, *_) -> None:
        os.close(self._say)
        self._thread.join(20)
        alive = self._thread.is_alive()
        # The listening thread hangs on the pipe; with the pipe's end it ends.
        for thread in threading.enumerate():
            if thread.name == "listener":
                thread.join(5)
        threading.excepthook = self._hook
        os.close(self._hear)
        for file in self._files:
            file.close()
        assert not self.broken, f"a thread of the worker broke: {self.broken[0]!r}"
        assert not alive, "the worker does not leave"

    def _run(self) -> None:
        self.code = self._server.run()
        self._files[1].close()

    def say(self, *frames: bytes) -> None:
        for data in frames:
            while data:
                try:
                    data = data[os.write(self._say, data) :]
                except BrokenPipeError:
                    return

    def answers_a_ping(self, ask: bool = True) -> bool:
        """True when a pong comes; False when it left, which it may only after an error that says why, or a goodbye."""
        if ask:
            self.say(wire.encode(wire.PING))
        heard, end = [], time.monotonic() + 20
        while time.monotonic() < end:
            message = self._decoder.next()
            if message is not None:
                heard.append(message)
                if message.kind == wire.PONG:
                    if ask:
                        self._settle()
                    return True
                continue
            if select.select([self._hear], [], [], 20)[0]:
                data = os.read(self._hear, 1 << 16)
                if not data:
                    last = heard[-1] if heard else None
                    polite = self.code == 0 or (last is not None and last.kind == wire.ERROR and last.fields["text"])
                    assert polite, f"it left without a word, code {self.code}"
                    return False
                self._decoder.feed(data)
        raise AssertionError("neither an answer nor an end")

    def _settle(self) -> None:
        """Wait until what was asked before is answered: another question comes last."""
        self.say(wire.encode("what is this", {"job": 10**6}))
        while True:
            message = self._decoder.next()
            if message is None:
                assert select.select([self._hear], [], [], 20)[0], "it does not answer"
                data = os.read(self._hear, 1 << 16)
                if not data:
                    return
                self._decoder.feed(data)
            elif message.kind == wire.ERROR and message.fields.get("job") == 10**6:
                return

    def transport(self, inlet) -> ServerHere:
        """This server as the transport of a client that comes later."""
        self._inlet = inlet
        return self

    def write(self, data: bytes) -> None:
        self.say(data)

    def close_input(self) -> None:
        pass

    def kill(self) -> None:
        self._inlet = None

    def pump_until(self, done) -> None:
        while not done():
            assert select.select([self._hear], [], [], 20)[0], "no answer"
            data = os.read(self._hear, 1 << 16)
            if not data:
                self._inlet.transport_closed("ended with exit code 0", "")
                return
            self._inlet.feed(data)
