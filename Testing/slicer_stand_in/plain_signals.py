"""connect() and disconnect() with PythonQt's signal strings, for objects of the stand-in that are no QObjects."""

from .problems import problems


class PlainSignals:
    """Base of application objects; `SIGNALS` lists the signatures that exist."""

    SIGNALS = ()

    def __init__(self):
        self._slots = {}

    def connect(self, signal, slot):
        """True when the signal exists, else False with a message, as in PythonQt."""
        if signal not in self.SIGNALS:
            problems.message(f"{type(self).__name__} has no signal '{signal}'")
            return False
        self._slots.setdefault(signal, []).append(slot)
        return True

    def disconnect(self, signal, slot):
        slots = self._slots.get(signal, [])
        if slot not in slots:
            return False
        slots.remove(slot)
        return True

    def fire(self, signal, *arguments):
        """Only for the stand-in and tests: what the application would emit."""
        assert signal in self.SIGNALS, signal
        for slot in list(self._slots.get(signal, [])):
            try:
                slot(*arguments)
            except Exception:
                problems.exception(f"in a slot of {signal}")
