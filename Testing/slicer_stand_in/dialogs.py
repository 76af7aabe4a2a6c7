"""Dialogs never wait: each is recorded in `shown` and answered from `answers`, in order; '' or Cancel without one."""

from PyQt5 import QtWidgets

#: (class and function or class name, title or text) of every dialog of this test.
shown = []
#: What the user of this test will enter: a path, a text, or a button.
answers = []


def clear():
    shown.clear()
    answers.clear()


def _answer(kind, text, otherwise=""):
    shown.append((kind, text))
    return answers.pop(0) if answers else otherwise


def _path(function):
    def choose(parent=None, caption="", folder="", *rest):
        return _answer(f"QFileDialog.{function}", caption)

    return staticmethod(choose)


class QFileDialog(QtWidgets.QFileDialog):
    """PythonQt returns the path alone, not a pair."""

    getExistingDirectory = _path("getExistingDirectory")
    getOpenFileName = _path("getOpenFileName")
    getSaveFileName = _path("getSaveFileName")

    def exec_(self):
        return _answer("QFileDialog", self.windowTitle, 0)


class QInputDialog(QtWidgets.QInputDialog):
    """PythonQt returns the text alone, not a pair."""

    @staticmethod
    def getText(parent, title, label, mode=0, text=""):
        return _answer("QInputDialog.getText", title)

    def exec_(self):
        return _answer("QInputDialog", self.windowTitle, 0)


def _box(function):
    def ask(parent, title, text, *rest):
        return _answer(f"QMessageBox.{function}", text, QtWidgets.QMessageBox.Cancel)

    return staticmethod(ask)


class QMessageBox(QtWidgets.QMessageBox):
    """Static boxes and exec_ answer Cancel unless `answers` has something else."""

    question = _box("question")
    warning = _box("warning")
    information = _box("information")
    critical = _box("critical")

    def exec_(self):
        return int(_answer("QMessageBox", self.text, QtWidgets.QMessageBox.Cancel))

    exec = exec_


CLASSES = {"QFileDialog": QFileDialog, "QInputDialog": QInputDialog, "QMessageBox": QMessageBox}
