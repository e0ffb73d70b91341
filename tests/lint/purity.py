"""What deterministic code may not do, found in its syntax tree.

Every validator must compute the same bytes from the same input (equal state roots). So the consensus core
and the voucher law import only what is on a list, and use nothing whose result depends on the machine, the
process or the Python flags: no floats, no `/`, no `assert` (gone under -O), no order of a set (it depends on
PYTHONHASHSEED), no `hash`, no `id`, no bare `except` that would swallow a broken invariant.

A set is recognised where the syntax shows it: a display, `set()`, a set operation, a name, attribute or function
that is annotated or assigned as one in the same file. Sorting a set, or asking it anything whose answer has no
order, is fine.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

STANDARD: Final = frozenset(
    [
        "__future__",
        "abc",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "struct",
        "types",
        "typing",
    ]
)
THIRD_PARTY: Final = frozenset({"msgspec"})
OWN: Final = {
    "consensus": ("consensus", "tallynet"),
    "node/ledger": ("node.ledger", "node.state", "tallynet"),
    "node/state": ("node.state", "tallynet"),
}
"""Deterministic package -> what of our own it may import."""
SHELL: Final = ("tallynet.client", "tallynet.tls", "tallynet.keyfile")
"""The parts of tallynet that talk to sockets, files or clocks."""
BANNED_NAMES: Final = {
    "hash": "depends on PYTHONHASHSEED; use tallynet.hashing",
    "id": "is an address in memory",
    "float": "rounds; money is int",
    "complex": "rounds; money is int",
    "round": "rounds half to even; use the rounding functions of the voucher law",
    "Decimal": "depends on a context; money is int",
    "open": "is I/O",
    "print": "is I/O",
    "input": "is I/O",
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "globals": "reaches around the import list",
    "breakpoint": "is for debugging",
    "__import__": "reaches around the import list",
    "__debug__": "depends on -O",
}
ORDERED: Final = frozenset(
    [
        "list",
        "tuple",
        "iter",
        "next",
        "enumerate",
        "zip",
        "map",
        "filter",
        "reversed",
        "dict",
        "bytes",
        "bytearray",
        "deque",
        "islice",
        "chain",
    ]
)
"""Calls that would turn the order of a set into a result."""
ORDERED_METHODS: Final = frozenset({"join", "extend", "fromkeys", "extendleft", "from_iterable"})
ORDERLESS: Final = frozenset(
    {"set", "frozenset", "len", "any", "all", "sum", "min", "max", "sorted"}
)
"""Calls whose result does not depend on the order of what they are given (without a key)."""
SET_TYPES: Final = frozenset({"set", "frozenset", "Set", "AbstractSet", "MutableSet", "FrozenSet"})
SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference"})
SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Find = tuple[int, str, str]
"""Line, rule, text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One breach: where, which rule, why it matters."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def problems(path: str, source: str) -> list[Problem]:
    """All breaches in one file. `path` is relative to the root and decides what may be imported."""
    package = next(package for package in OWN if path.startswith(f"{package}/"))
    tree = ast.parse(source, path)
    checks = (
        _imports(tree, OWN[package]),
        _arithmetic(tree),
        _control(tree),
        _names(tree),
        _sets(tree),
    )
    found = {Problem(path, line, rule, text) for check in checks for line, rule, text in check}
    return sorted(found, key=lambda problem: (problem.line, problem.rule, problem.text))


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _imports(tree: ast.Module, own: tuple[str, ...]) -> Iterator[Find]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "import", "relative import; name the package in full"
            continue
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            known = module.partition(".")[0] in STANDARD | THIRD_PARTY
            if not (known or _within(module, own)) or _within(module, SHELL):
                yield node.lineno, "import", f"{module} is not on the list of deterministic code"


def _arithmetic(tree: ast.Module) -> Iterator[Find]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, "float", f"{node.value!r} is no integer"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "division", "`/` makes a float; use `//`"
        elif (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Pow)
            and isinstance(node.right, ast.UnaryOp)
            and isinstance(node.right.op, ast.USub)
        ):
            yield node.lineno, "division", "a negative power makes a float"


def _control(tree: ast.Module) -> Iterator[Find]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert", "vanishes under -O; use invariant(condition, code)"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "except", "a bare except swallows a broken invariant"
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "async", "a step runs to its end"


def _bound_in(function: ast.AST) -> frozenset[str]:
    """Names that a function binds: parameters and whatever is assigned in it."""
    return frozenset(
        part.arg if isinstance(part, ast.arg) else part.id
        for part in ast.walk(function)
        if isinstance(part, ast.arg)
        or (isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    )


def _names(tree: ast.Module) -> Iterator[Find]:
    """Banned built-ins, unless a function's own variable has that name."""

    def visit(node: ast.AST, bound: frozenset[str]) -> Iterator[Find]:
        if isinstance(node, FUNCTIONS):
            bound |= _bound_in(node)
        elif (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id in BANNED_NAMES
            and node.id not in bound
        ):
            yield node.lineno, "name", f"`{node.id}` {BANNED_NAMES[node.id]}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, bound)

    return visit(tree, frozenset())


def _sets(tree: ast.Module) -> Iterator[Find]:
    return _SetOrder(tree).found()


class _SetOrder:
    """Finds places where the order of a set becomes a result."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._attributes: frozenset[str] = frozenset()
        self._functions: frozenset[str] = frozenset()
        self._learn_declarations()

    def found(self) -> Iterator[Find]:
        return self._visit(self._tree, self._assigned_in(self._tree, frozenset()))

    # --- what is a set ---

    def _learn_declarations(self) -> None:
        """Fields and functions of this file that are annotated as sets. A field that another class of the file
        annotates as something else stays unknown."""
        sets: set[str] = set()
        others: set[str] = set()
        functions: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ClassDef):
                for part in ast.walk(node):
                    if isinstance(part, ast.AnnAssign):
                        name = _field_name(part, node)
                        (sets if _annotates_set(part) else others).add(name)
            elif isinstance(node, ast.FunctionDef) and _is_set_type(node.returns):
                functions.add(node.name)
        self._attributes = frozenset(sets - others - {""})
        self._functions = frozenset(functions)

    def _assigned_in(self, scope: ast.AST, known: frozenset[str]) -> frozenset[str]:
        """Names that are sets in a scope: parameters and assignments, as far as they show it."""
        names = set(known)
        for part in _own_parts(scope):
            if isinstance(part, ast.arg):
                (names.add if _is_set_type(part.annotation) else names.discard)(part.arg)
            elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                (names.add if _annotates_set(part) else names.discard)(part.target.id)
        for part in _own_parts(scope):
            if isinstance(part, ast.Assign | ast.NamedExpr):
                targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                if self._is_set(part.value, frozenset(names)):
                    names |= {target.id for target in targets if isinstance(target, ast.Name)}
        return frozenset(names)

    def _is_set(self, node: ast.AST, names: frozenset[str]) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name(id=name):
                return name in names
            case ast.Attribute(attr=name):
                return name in self._attributes
            case ast.Call(func=ast.Name(id=name)):
                return name in {"set", "frozenset"} or name in self._functions
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                if name in SET_METHODS or name == "copy":
                    return self._is_set(value, names)
                return name in self._functions
            case ast.BinOp(left=left, op=operator, right=right):
                return isinstance(operator, SET_OPERATORS) and any(
                    self._is_set(side, names) or _is_dictionary_view(side) for side in (left, right)
                )
            case ast.IfExp(body=body, orelse=other):
                return self._is_set(body, names) or self._is_set(other, names)
            case ast.BoolOp(values=values):
                return any(self._is_set(value, names) for value in values)
            case _:
                return False

    # --- where its order leaks ---

    def _visit(self, node: ast.AST, names: frozenset[str]) -> Iterator[Find]:
        if isinstance(node, FUNCTIONS):
            names = self._assigned_in(node, names)
        if any(self._is_set(value, names) for value in self._taken_in_order(node)):
            line = getattr(node, "lineno", 0)
            yield line, "set order", "the order of a set differs between processes; sort it first"
        orderless = _orderless_argument(node)
        for child in ast.iter_child_nodes(node):
            if child is orderless:
                for part in ast.iter_child_nodes(child):
                    yield from self._visit(part, names)
            else:
                yield from self._visit(child, names)

    def _taken_in_order(self, node: ast.AST) -> list[ast.AST]:
        """The expressions whose order this node makes visible."""
        match node:
            case ast.For(iter=iterated):
                return [iterated]
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
                return [generator.iter for generator in node.generators]
            case ast.YieldFrom(value=value):
                return [value]
            case ast.Starred(value=value, ctx=ast.Load()):
                return [value]
            case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value):
                return [value]
            case ast.Call(
                func=ast.Name(id="min" | "max" | "sorted"), args=arguments, keywords=keywords
            ):
                # With a key, equal keys come out in the order of the set.
                return [*arguments] if any(word.arg == "key" for word in keywords) else []
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in ORDERED:
                return [*arguments]
            case ast.Call(func=ast.Attribute(attr=name), args=arguments) if name in ORDERED_METHODS:
                return [*arguments]
            case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]):
                return [value]
            case _:
                return []


def _own_parts(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions and classes inside it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            yield child
            yield from _own_parts(child)


def _orderless_argument(node: ast.AST) -> ast.AST | None:
    """The list or generator that a call consumes without regard to its order."""
    match node:
        case ast.Call(
            func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as inner], keywords=[]
        ):
            return inner if name in ORDERLESS else None
        case _:
            return None


def _is_set_type(annotation: ast.AST | None) -> bool:
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_TYPES
        case ast.Subscript(value=ast.Name(id="Final" | "ClassVar"), slice=inner):
            return _is_set_type(inner)
        case ast.Subscript(value=value):
            return _is_set_type(value)
        case ast.BinOp(left=left, right=right):
            return _is_set_type(left) or _is_set_type(right)
        case _:
            return False


def _annotates_set(node: ast.AnnAssign) -> bool:
    if _is_set_type(node.annotation):
        return True
    bare_final = isinstance(node.annotation, ast.Name) and node.annotation.id == "Final"
    return bare_final and _makes_set(node.value)


def _makes_set(value: ast.AST | None) -> bool:
    match value:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case _:
            return False


def _field_name(node: ast.AnnAssign, owner: ast.ClassDef) -> str:
    """The field that an annotation in a class declares (`name: T` or `self.name: T`), or nothing."""
    match node.target:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Name(id=name) if node in owner.body:
            return name
        case _:
            return ""


def _is_dictionary_view(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="keys" | "items"), args=[]):
            return True
        case _:
            return False
