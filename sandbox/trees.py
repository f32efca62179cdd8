"""What a syntax tree says, asked of its nodes; and what to do instead of what is refused. Decisions only."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from sandbox import guards, modules
from sandbox.names import GUARDED_METHODS, LITERAL_DUNDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILTIN_REMEDIES: Final = {
    "open": "there are no files here; keep data in settings, or in `cache`",
    "eval": "use json.loads",
    "exec": "write the code into the module",
    "compile": "use re.compile for patterns; code can't be compiled here",
    "getattr": "write x.name, or getattr(x, 'name') with the name written out; of events and settings use .get(name)",
    "hasattr": "write hasattr(x, 'name') with the name written out; of events and settings use `name in event`",
    "setattr": "write x.name = value, or keep the values in a dict",
    "delattr": "write `del x.name`, or keep the values in a dict",
    "vars": "use a dict, or dataclasses.asdict",
    "dir": "name the attributes you need",
    "globals": "use a dict at module level",
    "locals": "use a dict",
    "input": "a function gets its input in `event`",
    "breakpoint": "use console.log",
    "help": "see the author's guide",
    "memoryview": "use bytes or bytearray",
    "exit": "use return, or raise DropEvent",
    "quit": "use return, or raise DropEvent",
}
"""Builtins that aren't there, and what to use instead."""
ATTRIBUTE_REMEDIES: Final = {
    "__class__": "use type(x), or isinstance",
    "__dict__": "use a dict, or dataclasses.asdict",
    "__annotations__": "annotations are stripped here; use a table of your own",
    "__setattr__": "write x.name = value, or object.__setattr__(self, 'name', value) with the name written out",
    "with_traceback": "use `raise … from error`",
    "add_done_callback": "await it, or use asyncio.gather",
    "no_cache": "use ZoneInfo(key)",
    "obj": "call it something else, for example `item`",
}
_METHOD_REMEDIES: Final = {
    "__setattr__": "use @dataclass(frozen=True), or properties",
    "__delattr__": "use @dataclass(frozen=True), or properties",
    "__getattribute__": "define __getattr__, which is asked for what is missing",
    "__del__": "use a with statement, or try and finally",
    "__deepcopy__": "define __copy__, or a method of your own",
    "__class__": "use type(self), or isinstance",
}
GUIDE: Final = "the author's guide lists what there is"


def bindings(tree: ast.Module) -> tuple[frozenset[str], dict[str, str]]:
    """Every name that the source binds anywhere; and those that `import` alone binds → the module they stand for."""
    bound: set[str] = set()
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Name(name, ast.Store() | ast.Del()) | ast.arg(name):
                bound.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(node.name)
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
            case ast.ImportFrom(names=aliases):
                bound.update(alias.asname or alias.name for alias in aliases)
            case ast.Import(names=aliases):
                for alias in aliases:
                    imports[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            case ast.AST(name=str(name)) if not isinstance(node, ast.alias):  # type: ignore[misc]  # a type parameter, which 3.11 has no class for
                bound.add(name)
    known = {
        name: module for name, module in imports.items() if name not in bound and modules.is_module(module)
    }
    return frozenset(bound | set(imports)), known


def is_super(node: ast.expr, *, bare: bool = False) -> bool:
    """`super(…)`; if `bare`, only `super()`, which is about the method's own object."""
    match node:
        case ast.Call(ast.Name("super"), arguments, keywords):
            return not (bare and (arguments or keywords))
    return False


def whose_class(node: ast.expr, bound: frozenset[str]) -> ast.expr | None:
    """`x` of `type(x)` and of `x.__class__`."""
    match node:
        case ast.Attribute(value, "__class__"):
            return value
        case ast.Call(ast.Name("type"), [value], []) if "type" not in bound and not isinstance(
            value, ast.Starred
        ):
            return value
    return None


def dunder_remedy(name: str, scope: str) -> str:
    """What to do instead of using one of Python's own names in a scope of that kind."""
    if name in LITERAL_DUNDERS:
        return f'write {name} = ("a", "b") in the class body'
    if name in GUARDED_METHODS and scope == "class":
        return f"write it with def {name}"
    if scope == "class" and name in _METHOD_REMEDIES:
        return _METHOD_REMEDIES[name]
    if scope == "class":
        return "leave it out; a class may define the usual special methods, " + GUIDE
    return "choose another name" if scope != "read" else "leave it out"


def mark(annotation: ast.expr) -> ast.expr:
    """A class-body annotation without its content; what dataclasses treat differently stays recognizable."""
    text = ast.unparse(annotation)
    head = text.strip("'\"").split("[")[0].rsplit(".", 1)[-1]
    mark = ast.Name(guards.KEPT_ANNOTATIONS.get(head, guards.ANNOTATION), ast.Load())
    return ast.copy_location(mark, annotation)


def leavers(node: ast.AST, *, in_loop: bool = False) -> Iterator[ast.AST]:
    """`return`, `yield`, and `break` or `continue` of an outer loop, within `node`: each would leave it for good."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) or (
        isinstance(node, ast.Break | ast.Continue) and not in_loop
    ):
        yield node
    after: set[ast.stmt] | None = None
    if isinstance(node, ast.For | ast.AsyncFor | ast.While):
        after = set(node.orelse)  # `break` there leaves the loop outside
    for child in ast.iter_child_nodes(node):
        yield from leavers(child, in_loop=in_loop or (after is not None and child not in after))
