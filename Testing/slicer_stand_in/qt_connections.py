"""Signals and slots as PythonQt does them: signatures as text, arguments trimmed, exceptions recorded."""

import types

from PyQt5 import QtCore

from .problems import problems

_get = QtCore.QObject.__getattribute__
#: Per QObject address: [(signature, callable, PyQt5 slot, PyQt5 signal)]. PythonQt too keeps callables alive.
_connections = {}


def wanted_arguments(callable_):
    """How many arguments PythonQt passes: those of a plain function or method, all to any other callable (None)."""
    function = callable_
    bound = 0
    if isinstance(callable_, types.MethodType):
        function = callable_.__func__
        bound = 1
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & 0x04:
        return None
    return function.__code__.co_argcount - bound


def find_signal(obj, text):
    """(PyQt5 signal, normalized signature) of a signal's text such as 'clicked(bool)', or (None, text)."""
    signature = bytes(QtCore.QMetaObject.normalizedSignature(text)).decode()
    for base in type(obj).__mro__:
        declared = vars(base).get("SIGNALS", {})
        if signature in declared:
            return _get(obj, declared[signature]), signature
    meta = _get(obj, "metaObject")()
    if meta.indexOfSignal(signature) < 0:
        return None, signature
    name, arguments = signature.rstrip(")").split("(", 1)
    signal = _get(obj, name)
    overload = tuple(argument for argument in arguments.split(",") if argument)
    try:
        return signal[overload], signature
    except (KeyError, TypeError):
        # PyQt5 has only the longest of signatures that come from default arguments; connect() trims.
        return signal, signature


def make_slot(callable_, where):
    wanted = wanted_arguments(callable_)

    def slot(*arguments):
        try:
            callable_(*(arguments if wanted is None else arguments[:wanted]))
        except Exception:
            problems.exception(f"in a slot of {where}")

    return slot


def _address(obj):
    from PyQt5 import sip

    return sip.unwrapinstance(obj)


def _remember(obj, entry):
    address = _address(obj)
    if address not in _connections:
        _connections[address] = []
        _get(obj, "destroyed").connect(lambda *_: _connections.pop(address, None))
    _connections[address].append(entry)


def connect(self, *arguments):
    """obj.connect('signal()', callable), obj.connect('signal()', receiver, 'slot()'), or QObject.connect(obj, ...)."""
    text, *rest = arguments
    if len(rest) == 2 and isinstance(rest[1], str):
        receiver, name = rest
        callable_ = getattr(receiver, name.split("(")[0])
        if isinstance(callable_, Signal):
            callable_ = callable_.emit
    elif len(rest) == 1 and callable(rest[0]):
        callable_ = rest[0].emit if isinstance(rest[0], Signal) else rest[0]
    else:
        raise TypeError(f"connect takes a signal and a callable, not {arguments!r}")
    signal, signature = find_signal(self, text)
    where = f"{type(self).__name__}.{signature}"
    if signal is None:
        problems.message(f"connect: {type(self).__name__} has no signal '{text}'")
        return False
    slot = make_slot(callable_, where)
    signal.connect(slot)
    _remember(self, (signature, rest[0] if len(rest) == 1 else callable_, slot, signal))
    return True


def disconnect(self, *arguments):
    """Reverse of connect; obj.disconnect('signal()') removes all Python slots of the signal. False if none was."""
    if not arguments:
        signature = callable_ = None
    else:
        signal, signature = find_signal(self, arguments[0])
        if signal is None:
            problems.message(f"disconnect: {type(self).__name__} has no signal '{arguments[0]}'")
            return False
        callable_ = getattr(arguments[1], arguments[2].split("(")[0]) if len(arguments) == 3 else None
        callable_ = arguments[1] if len(arguments) == 2 else callable_
    removed = False
    for entry in list(_connections.get(_address(self), [])):
        if (signature is None or entry[0] == signature) and (callable_ is None or entry[1] == callable_):
            entry[3].disconnect(entry[2])
            _connections[_address(self)].remove(entry)
            removed = True
    return removed


class Signal:
    """What `button.clicked` is: connect, disconnect, emit, and a call, which emits."""

    def __init__(self, obj, name, signal):
        self._obj, self._name, self._signal = obj, name, signal

    def connect(self, callable_):
        slot = make_slot(callable_, f"{type(self._obj).__name__}.{self._name}")
        self._signal.connect(slot)
        _remember(self._obj, (self._name, callable_, slot, self._signal))
        return True

    def disconnect(self, callable_=None):
        removed = False
        for entry in list(_connections.get(_address(self._obj), [])):
            if entry[0].split("(")[0] == self._name and (callable_ is None or entry[1] == callable_):
                entry[3].disconnect(entry[2])
                _connections[_address(self._obj)].remove(entry)
                removed = True
        return removed

    def emit(self, *arguments):
        self._signal.emit(*arguments)

    __call__ = emit

    def __getitem__(self, overload):
        return Signal(self._obj, self._name, self._signal[overload])
