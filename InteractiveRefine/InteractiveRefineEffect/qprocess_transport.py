"""The worker process under Slicer's event loop: bytes to and from it through a QProcess, never blocking."""

import logging

import qt

from InteractiveRefineScene.worker_process import pythonExecutable, workerEnvironment

#: How much of the worker's stderr is kept for messages, in bytes.
_STDERR_TAIL = 8000
#: How long a process may take to appear; starting it is a fork, a slow `ssh` connects after that.
_START_TIMEOUT_MS = 5000
#: How long a worker may take to leave when asked politely; usually it takes a few milliseconds.
_LEAVE_MS = 300
_TICK_MS = 1000
#: Bytes handed over at once: a QByteArray of Qt 5 counts in an int, so that an image of 2 GiB would arrive as nothing.
_SLICE = 64 * 2**20


class QProcessTransport:
    """One worker process; hands what it says to a `WorkerClient` and what that says to it.

    Args:
        client: gets `feed`, `transport_closed` and, about once a second, `tick`.
        command: program and arguments.
        environment: all variables of the process; None for those of this process.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, client, command, environment=None):
        self._client = client
        self._closed = False
        self._stderr = b""
        self._process = qt.QProcess()
        if environment is not None:
            variables = qt.QProcessEnvironment()
            for name, value in environment.items():
                variables.insert(name, value)
            self._process.setProcessEnvironment(variables)
        # Never disconnected, which keeps the process alive: whoever lets go of this object when the worker has ended
        # would else delete the process in the middle of its own signal.
        self._process.connect("readyReadStandardOutput()", self._onOutput)
        self._process.connect("readyReadStandardError()", self._onStderr)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        # A parent would delete the timer behind Python's back; the process owns nothing either.
        self._ticker = qt.QTimer()
        self._ticker.setInterval(_TICK_MS)
        self._ticker.connect("timeout()", self._onTick)
        logging.info("Interactive Refine starts its worker: %s", " ".join(command))
        self._process.start(str(command[0]), [str(argument) for argument in command[1:]])
        if not self._process.waitForStarted(_START_TIMEOUT_MS):
            self._close()
            raise OSError(self._process.errorString())
        self._ticker.start()

    @property
    def running(self):
        """True while the process lives and may be written to."""
        return not self._closed and self._process.state() != qt.QProcess.NotRunning

    def write(self, data):
        """Queue bytes; the event loop hands them over as fast as the worker takes them."""
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            if not self.running:
                return
            self._process.write(bytes(view[start : start + _SLICE]))

    def close_input(self):
        """End of what is said: the worker leaves once it has read everything."""
        if self.running:
            self._process.closeWriteChannel()

    def kill(self):
        """End the process now. Nothing it says from here on is heard."""
        if self._closed:
            return
        self._close()
        # PythonSlicer is a launcher: killed at once it would leave the interpreter behind, which the end of its input
        # and a polite request reach. A timer would not do, as Slicer itself may be about to end.
        self._process.closeWriteChannel()
        self._process.terminate()
        if not self._process.waitForFinished(_LEAVE_MS):
            self._process.kill()
            self._process.waitForFinished(_LEAVE_MS)

    def _close(self):
        self._closed = True
        self._ticker.stop()

    def _onTick(self):
        if not self._closed:
            self._client.tick()

    def _onOutput(self):
        data = bytes(self._process.readAllStandardOutput().data())
        if data and not self._closed:
            self._client.feed(data)

    def _onStderr(self):
        data = bytes(self._process.readAllStandardError().data())
        self._stderr = (self._stderr + data)[-_STDERR_TAIL:]
        for line in data.decode(errors="replace").splitlines():
            logging.debug("Interactive Refine worker: %s", line)

    def _onFinished(self, exitCode, exitStatus):
        if self._closed:
            return
        self._onStderr()
        self._onOutput()  # the last words arrive together with the end
        if self._closed:  # one of them made the client let go of the process
            return
        self._close()
        crashed = exitStatus == qt.QProcess.CrashExit
        reason = f"crashed (signal or exception {exitCode})" if crashed else f"ended with exit code {exitCode}"
        self._client.transport_closed(reason, self._stderr.decode(errors="replace"))


def transportStarter(setting):
    """`start_transport` of a WorkerClient.

    Args:
        setting: function that returns the command of the settings, "" for this Slicer's own interpreter; asked at each
            start, so that a changed setting takes effect with the next worker.
    """

    def start(client):
        from InteractiveRefineLib.errors import InputError
        from InteractiveRefineLib.worker.command import worker_command

        text = (setting() or "").strip()
        try:
            command = worker_command(text, pythonExecutable())
        except InputError as error:
            raise OSError(str(error)) from error
        return QProcessTransport(client, command, workerEnvironment(ownPython=not text))

    return start
