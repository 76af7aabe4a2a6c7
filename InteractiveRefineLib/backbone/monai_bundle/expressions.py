"""Which expressions of a bundle's configuration may be evaluated: arithmetic, tensors' own methods, nothing else.

MONAI evaluates text after "$" with Python's `eval`, builtins included. Names that look suspicious cannot be listed
completely, so the rule is the other way round: the parsed expression may hold only what is named here.
"""

from __future__ import annotations

import ast
import re

_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp,
    ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Slice, ast.Call, ast.keyword, ast.Attribute, ast.Lambda,
    ast.arguments, ast.arg, ast.Starred, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
#: Builtins, all without effects outside.
_BUILTINS = {"int", "float", "bool", "str", "len", "min", "max", "sum", "abs", "round", "list", "tuple", "dict"}
#: Functions and constants of torch and numpy, all without effects outside.
_NAMES = {"device", "cuda.is_available", "inf", "pi"}
_NAMES |= {"float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "long", "float"}
_FUNCTIONS = (
    "where", "clip", "clamp", "sigmoid", "softmax", "exp", "log", "sqrt", "abs", "argmax", "max", "min", "sum",
    "mean", "std", "cat", "concatenate", "stack", "zeros_like", "ones_like", "squeeze", "unsqueeze", "tensor", "array",
)  # fmt: skip
#: Methods of tensors, arrays and networks that change nothing but the object itself.
_METHODS = {
    "to", "float", "long", "int", "bool", "half", "double", "cpu", "eval", "max", "min", "mean", "std", "sum", "abs",
    "astype", "squeeze", "unsqueeze", "argmax", "clamp", "clip", "shape", "ndim",
}  # fmt: skip
#: What MONAI puts in place of "@network", as the text to be evaluated has it.
REFERENCES = "__local_refs"


def refusal(expression: str, is_component: set[str] | frozenset[str] = frozenset()) -> str | None:
    """Why a text must not be evaluated, or None.

    Args:
        expression: without the "$", references already replaced as MONAI does it.
        is_component: dotted names that may be called besides, each a harmless class.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"it is no expression ({type(error).__name__})"
    return _Walker(is_component).check(tree, frozenset())


class _Walker:
    def __init__(self, components: set[str] | frozenset[str]) -> None:
        self._components = components

    def check(self, node: ast.AST, bound: frozenset[str]) -> str | None:
        """The first reason against `node`; `bound` are the arguments of the lambdas around it."""
        if not isinstance(node, _NODES):
            return f"{type(node).__name__} is not allowed"
        if isinstance(node, ast.Constant) and isinstance(node.value, (bytes, complex)):
            return "only numbers and texts are allowed"
        if isinstance(node, ast.Lambda):
            arguments = node.args
            bound |= {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        dotted = _dotted(node)
        if dotted is not None:
            return None if self._known(dotted, bound) else f"{dotted!r} is not allowed"
        if isinstance(node, ast.Attribute) and node.attr not in _METHODS:
            return f"'.{node.attr}' is not allowed"
        for child in ast.iter_child_nodes(node):
            reason = self.check(child, bound)
            if reason:
                return reason
        return None

    def _known(self, dotted: str, bound: frozenset[str]) -> bool:
        root, _, rest = dotted.partition(".")
        if root in bound or root == REFERENCES:
            return all(part in _METHODS for part in rest.split(".") if part)
        if dotted in self._components or re.fullmatch(r"monai\.utils\.CommonKeys\.[A-Z]+", dotted):  # "image", "pred"
            return True
        if root in ("torch", "np", "numpy"):
            return rest in _NAMES or rest in _FUNCTIONS
        return not rest and root in _BUILTINS


def _dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text when the node is nothing but names and dots, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def dotted_names(expression: str) -> set[str]:
    """All names with dots in an expression, e.g. {"monai.transforms.Compose"}; empty when it is none."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name for name in map(_dotted, ast.walk(tree)) if name and "." in name}
