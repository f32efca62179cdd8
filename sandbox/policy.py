"""The RestrictedPython transformer: which syntax and which names a function may use.

Stock RestrictedPython asks at run time, at each attribute, item and iteration. Attribute names are static, so here
they are judged when the source is compiled; what is left for run time is `.format` (which looks names up from
data) and attribute stores. That is sound only because no real module is reachable from a function, nothing of ours
that can be changed is shared with it, and nothing it is offered looks a name up from data.

Names with one leading underscore are the author's own: they are renamed to names that no library object has
(`_x` → `µ_x` with U+00B5, which no source can spell: the parser normalizes it to U+03BC), so that guards, whose
names begin with an underscore too, can't be shadowed.
"""

from __future__ import annotations

import ast
import builtins
import types
from typing import Any, Final

from RestrictedPython.transformer import RestrictingNodeTransformer

from sandbox import modules

MANGLE: Final = "\N{MICRO SIGN}"
PLAIN_UNDERSCORE: Final = frozenset(
    {"_", "_asdict", "_replace", "_fields", "_make", "_missing_", "_generate_next_value_"}
)
"""One-underscore names that are public in the standard library."""

_COMMON: Final = frozenset(
    name for kind in (dict, list, set, str, bytes, int, float, tuple, BaseException) for name in dir(kind)
) | {"send", "throw", "close", "asend", "athrow", "aclose"}
_INSPECTED: Final = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
    types.CodeType,
)
REFUSED_ATTRIBUTES: Final = (
    frozenset(name for kind in _INSPECTED for name in dir(kind) if not name.startswith("_"))
    | frozenset(
        {"mro", "obj", "with_traceback", "get_loop", "get_stack", "get_coro", "get_context", "print_stack"}
    )
) - (_COMMON - {"with_traceback"})
"""Read from this interpreter's own types, so that names that a new version adds are covered."""

CLASS_DUNDERS: Final = frozenset(
    f"__{name}__"
    for name in (
        "init new post_init repr str bytes bool hash eq ne lt le gt ge len length_hint getitem setitem delitem contains"
        " iter next reversed call enter exit aenter aexit aiter anext await add radd iadd sub rsub isub mul rmul imul"
        " truediv rtruediv itruediv floordiv rfloordiv ifloordiv mod rmod imod pow rpow ipow divmod rdivmod neg pos abs"
        " invert and rand iand or ror ior xor rxor ixor lshift rshift matmul rmatmul int float complex index round trunc"
        " floor ceil copy deepcopy format missing get set delete set_name getattr slots match_args doc class_getitem"
        " init_subclass hash fspath"
    ).split()
)
"""What a class of a function may define."""
READABLE_DUNDERS: Final = frozenset({"__name__", "__doc__"}) | (
    CLASS_DUNDERS
    - {"__getattr__", "__new__", "__slots__", "__format__", "__init_subclass__", "__set_name__", "__get__"}
)
"""What may be read of anything: methods whose own attributes lead nowhere."""
NAME_DUNDERS: Final = frozenset({"__name__", "__doc__"})

BUILTIN_REMEDIES: Final = {
    "open": "there are no files here; keep data in settings, or in `cache`",
    "eval": "use json.loads or literal values",
    "exec": "write the code into the module",
    "compile": "use re.compile for patterns; code can't be compiled here",
    "getattr": "write the attribute, or getattr(x, 'name') with a literal name; for events use event.get('name')",
    "setattr": "write the attribute: x.name = value",
    "delattr": "write `del x.name`",
    "hasattr": "write hasattr(x, 'name') with a literal name; for events use `'name' in event`",
    "vars": "use a dict, or dataclasses.asdict",
    "dir": "name the attributes you need",
    "globals": "use a module-level dict",
    "locals": "use a dict",
    "input": "a function gets its input in `event`",
    "breakpoint": "use console.log",
    "help": "see the documentation of the function's author's guide",
    "memoryview": "use bytes or bytearray",
    "exit": "return, or raise DropEvent",
    "quit": "return, or raise DropEvent",
    "__import__": "use an import statement",
}
"""Builtins that aren't there, and what to use instead."""
_ANNOTATION_KEEPERS: Final = {"ClassVar": "_ClassVar_", "InitVar": "_InitVar_", "KW_ONLY": "_KW_ONLY_"}


def attribute_refusal(name: str) -> str:
    """Why an attribute of this name may not be read, or an empty string."""
    if name.startswith("__"):
        return "" if name in READABLE_DUNDERS else "names with two underscores lead out of the sandbox"
    if name in REFUSED_ATTRIBUTES:
        return "it gives access to running code"
    return ""


def mangle(name: str) -> str:
    """`_x` → `µ_x`; other names stay."""
    if name.startswith("_") and not name.startswith("__") and name not in PLAIN_UNDERSCORE:
        return MANGLE + name
    if name.startswith("__") and not name.endswith("__"):
        return MANGLE + name
    return name


class Policy(RestrictingNodeTransformer):
    """Visit a module's tree; `found` holds (node, rule, message, remedy) of everything that is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[ast.AST, str, str, str]] = []
        self._stored: set[str] = set()
        self._class_depth: list[bool] = []
        self._names_super: list[bool] = []

    def refuse(self, node: ast.AST, rule: str, message: str, remedy: str) -> None:
        """Note a refusal and go on, so that an author sees all of them at once."""
        self.found.append((node, rule, message, remedy))

    def error(self, node: ast.AST, info: str) -> None:
        """RestrictedPython's own refusals."""
        self.refuse(
            node, "refused-syntax", info, "write it with the statements that the author's guide lists"
        )

    def warn(self, node: ast.AST, info: str) -> None:
        """RestrictedPython's warnings are of no use to an author here."""

    def not_allowed(self, node: ast.AST) -> None:
        """A statement or expression that isn't in the list."""
        self.refuse(
            node,
            "refused-syntax",
            f"{type(node).__name__} statements are not allowed",
            "write it with the statements that the author's guide lists",
        )

    def _plain(self, node: ast.AST) -> ast.AST:
        self.generic_children(node)
        return node

    def generic_children(self, node: ast.AST) -> None:
        """Visit what is below; nothing else."""
        ast.NodeTransformer.generic_visit(self, node)

    # --- Module and names

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """The whole source."""
        for child in ast.walk(node):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                self._stored.add(child.id)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._stored.add(child.name)
            elif isinstance(child, ast.arg):
                self._stored.add(child.arg)
            elif isinstance(child, ast.alias):
                self._stored.add((child.asname or child.name).split(".")[0])
        return self._plain(node)

    def _own_name(self, node: ast.AST, name: str) -> str:
        """A name that the author binds."""
        if name.startswith("__") and name.endswith("__"):
            in_class = bool(self._class_depth) and self._class_depth[-1]
            if not (in_class and name in CLASS_DUNDERS) and name not in NAME_DUNDERS:
                self.refuse(node, "dunder-name", f"the name {name} is Python's own", "choose another name")
        return mangle(name)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name read, bound or deleted."""
        if isinstance(node.ctx, ast.Load):
            if node.id in BUILTIN_REMEDIES and node.id not in self._stored:
                self.refuse(
                    node,
                    "refused-builtin",
                    f"{node.id} is not available in a function",
                    BUILTIN_REMEDIES[node.id],
                )
            elif node.id.startswith("__") and node.id.endswith("__") and node.id not in NAME_DUNDERS:
                self.refuse(node, "dunder-name", f"the name {node.id} is Python's own", "leave it out")
            elif node.id in _NEAR_MODULES and node.id not in self._stored:
                self.refuse(
                    node,
                    "refused-name",
                    f"{node.id} is not imported",
                    modules.substitute(node.id)
                    if node.id not in modules.WHITELIST
                    else f"add `import {node.id}`",
                )
            node.id = mangle(node.id)
        else:
            node.id = self._own_name(node, node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        """`global x`."""
        node.names = [self._own_name(node, name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        """`nonlocal x`."""
        node.names = [self._own_name(node, name) for name in node.names]
        return node

    # --- Attributes and calls

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`x.name`: judged here, once and for all."""
        name, is_read = node.attr, isinstance(node.ctx, ast.Load)
        if name == "__name__" and is_read and _is_class_of(node.value):
            return self._guard("_type_name_", node, [_class_argument(node.value)])
        if not (is_read and _is_super(node.value) and name in CLASS_DUNDERS):
            reason = (
                attribute_refusal(name)
                if is_read or not name.startswith("__")
                else "Python's own names can't be set"
            )
            if reason:
                self.refuse(
                    node,
                    "refused-attribute",
                    f"the attribute {name} is not available: {reason}",
                    _attribute_remedy(name),
                )
        node.attr = mangle(name)
        if is_read and name in {"format", "format_map"}:
            return self._guard("_format_", node, [node.value, ast.Constant(name)])
        node.value = self.visit(node.value)
        if not is_read:
            node.value = self._call("_write_", node, [node.value])
        return node

    def _guard(self, name: str, node: ast.AST, arguments: list[ast.expr]) -> ast.Call:
        return self._call(name, node, [self.visit(argument) for argument in arguments])

    @staticmethod
    def _call(name: str, node: ast.AST, arguments: list[ast.expr]) -> ast.Call:
        call = ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=arguments, keywords=[])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`x[k]`: nothing of ours that a function reaches can be changed by item."""
        return self._plain(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call; `getattr` and `hasattr` with a literal name are attributes."""
        function = node.func
        if (
            isinstance(function, ast.Name)
            and function.id in {"getattr", "hasattr"}
            and function.id not in self._stored
        ):
            literal = len(node.args) >= 2 and isinstance(node.args[1], ast.Constant)
            name = node.args[1].value if literal and isinstance(node.args[1], ast.Constant) else None
            if (
                isinstance(name, str)
                and name.isidentifier()
                and not node.keywords
                and name not in {"format", "format_map"}
            ):
                reason = attribute_refusal(name)
                if reason:
                    self.refuse(
                        node,
                        "refused-attribute",
                        f"the attribute {name} is not available: {reason}",
                        "leave it out",
                    )
                node.args[1] = ast.copy_location(ast.Constant(mangle(name)), node.args[1])
                node.args = [self.visit(argument) for argument in node.args]
                return self._call(f"_{function.id}_", node, node.args)
        for keyword in node.keywords:
            if keyword.arg is not None:
                keyword.arg = mangle(keyword.arg)
        return self._plain(node)

    # --- Assignments

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`a = b = value`."""
        return self._plain(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`x += 1`, `x.a += 1`, `x[k] += 1`."""
        return self._plain(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Annotations of variables go; those of a class stay as marks, so that dataclasses see their fields."""
        if self._class_depth and self._class_depth[-1]:
            node.annotation = _mark(node.annotation)
            node.target = self.visit(node.target)
            node.value = self.visit(node.value) if node.value is not None else None
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node))  # type: ignore[no-any-return]

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.AST:
        """`(x := value)`."""
        return self._plain(node)

    def visit_TypeAlias(self, node: Any) -> ast.AST:
        """`type X = …`: kept as a name for nothing, since annotations go."""
        none = ast.Assign(targets=[ast.Name(mangle(node.name.id), ast.Store())], value=ast.Constant(None))
        return ast.fix_missing_locations(ast.copy_location(none, node))

    # --- Functions and classes

    def _visit_function(self, node: Any) -> ast.AST:
        node.name = self._own_name(node, node.name)
        node.returns = None
        if hasattr(node, "type_params"):
            node.type_params = []
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        self._visit_arguments(node.args)
        self._class_depth.append(False)
        node.body = self._visit_body(node.body)
        self._class_depth.pop()
        return node  # type: ignore[no-any-return]

    def _visit_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        visited: list[ast.stmt] = []
        for statement in body:
            result = self.visit(statement)
            if isinstance(result, list):
                visited.extend(result)
            elif result is not None:
                visited.append(result)
        return visited or [ast.fix_missing_locations(ast.copy_location(ast.Pass(), body[0]))]

    def _visit_arguments(self, arguments: ast.arguments) -> None:
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ):
            if argument is not None:
                argument.annotation = None
                if argument.arg.startswith("__") and argument.arg.endswith("__"):
                    self.refuse(
                        argument,
                        "dunder-name",
                        f"the name {argument.arg} is Python's own",
                        "choose another name",
                    )
                argument.arg = mangle(argument.arg)
        arguments.defaults = [self.visit(item) for item in arguments.defaults]
        arguments.kw_defaults = [
            self.visit(item) if item is not None else None for item in arguments.kw_defaults
        ]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """`def`."""
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """`async def`."""
        return self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """`lambda`."""
        self._visit_arguments(node.args)
        self._class_depth.append(False)
        node.body = self.visit(node.body)
        self._class_depth.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """`class`."""
        for keyword in node.keywords:
            if keyword.arg in {"metaclass", None}:
                self.refuse(
                    node,
                    "metaclass",
                    "a class can't name its metaclass",
                    "inherit from Enum, ABC or Protocol where you need theirs",
                )
        node.name = self._own_name(node, node.name)
        if hasattr(node, "type_params"):
            node.type_params = []
        node.bases = [self.visit(base) for base in node.bases]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        self._class_depth.append(True)
        node.body = self._visit_body(node.body)
        self._class_depth.pop()
        return node

    # --- Statements

    def visit_Try(self, node: ast.Try) -> ast.AST:
        """What ends an invocation passes every handler, and no `finally` swallows it."""
        for statement in node.finalbody:
            for leaver in _leavers(statement):
                self.refuse(
                    leaver,
                    "leaves-finally",
                    f"{type(leaver).__name__.lower()} in finally would swallow errors",
                    "move it behind the try statement",
                )
        self.generic_children(node)
        if node.handlers:
            handler = ast.ExceptHandler(type=ast.Name("_Fatal_", ast.Load()), name=None, body=[ast.Raise()])
            node.handlers.insert(0, ast.fix_missing_locations(ast.copy_location(handler, node.handlers[0])))
        return node

    def visit_TryStar(self, node: Any) -> ast.AST:
        """`except*` hides what it caught."""
        self.refuse(node, "except-star", "except* is not available", "catch ExceptionGroup with `except`")
        return node  # type: ignore[no-any-return]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """`except X as name`."""
        if node.name is not None:
            node.name = self._own_name(node, node.name)
        return self._plain(node)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """`import a.b as c`."""
        for alias in node.names:
            self._check_module(node, alias.name)
            if alias.asname is not None:
                alias.asname = self._own_name(node, alias.asname)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """`from a import b as c`; of the future only what is harmless."""
        if node.module == "__future__":
            return ast.copy_location(ast.Pass(), node)
        if node.level or node.module is None:
            self.refuse(
                node, "refused-import", "there are no packages to import from", "put all code into one module"
            )
            return node
        if self._check_module(node, node.module):
            for alias in node.names:
                visible = modules.visible_names(node.module)
                if alias.name == "*":
                    self.refuse(node, "import-star", "import * is not available", "name what you need")
                elif alias.name not in visible:
                    self.refuse(
                        node,
                        "refused-import",
                        f"{node.module}.{alias.name} is not available",
                        modules.substitute(f"{node.module}.{alias.name}"),
                    )
                if alias.asname is not None:
                    alias.asname = self._own_name(node, alias.asname)
        return node

    def _check_module(self, node: ast.AST, name: str) -> bool:
        if name in modules.WHITELIST or name in modules.PACKAGES:
            return True
        self.refuse(node, "refused-import", f"the module {name} is not available", modules.substitute(name))
        return False

    # --- Patterns: names hide in plain strings here

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        """`case X(name=…)`."""
        for name in node.kwd_attrs:
            reason = attribute_refusal(name)
            if reason:
                self.refuse(
                    node,
                    "refused-attribute",
                    f"the attribute {name} is not available: {reason}",
                    "leave it out",
                )
        node.kwd_attrs = [mangle(name) for name in node.kwd_attrs]
        return self._plain(node)

    def _visit_capture(self, node: Any, field: str) -> ast.AST:
        name = getattr(node, field)
        if name is not None:
            setattr(node, field, self._own_name(node, name))
        return self._plain(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        """`case x`, `case … as x`."""
        return self._visit_capture(node, "name")

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        """`case [*x]`."""
        return self._visit_capture(node, "name")

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        """`case {**x}`."""
        return self._visit_capture(node, "rest")


def _allow(*names: str) -> None:
    for name in names:
        setattr(Policy, f"visit_{name}", Policy._plain)  # noqa: SLF001  its own class


_allow(
    *"Await AsyncFor AsyncWith With For While Delete Return Expr Constant Yield YieldFrom Starred Assert Raise If IfExp".split(),
    *"JoinedStr FormattedValue TemplateStr Interpolation ListComp SetComp DictComp GeneratorExp comprehension".split(),
    *"Match match_case MatchValue MatchSingleton MatchSequence MatchOr withitem keyword Pass Break Continue".split(),
    *"List Tuple Dict Set Slice BinOp UnaryOp BoolOp Compare Load Store Del And Or".split(),
)
for _kind in vars(ast).values():
    if isinstance(_kind, type) and issubclass(_kind, ast.operator | ast.unaryop | ast.cmpop):
        _allow(_kind.__name__)

_NEAR_MODULES: Final = frozenset(
    {"os", "sys", "requests", "httpx", "subprocess", "socket", "pathlib", "threading"}
) - set(dir(builtins))


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _is_class_of(node: ast.expr) -> bool:
    """`type(x)` or `x.__class__`."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "type"
        and len(node.args) == 1
    )


def _class_argument(node: ast.expr) -> ast.expr:
    assert isinstance(node, ast.Attribute | ast.Call)
    return node.value if isinstance(node, ast.Attribute) else node.args[0]


def _attribute_remedy(name: str) -> str:
    if name == "__class__":
        return "use type(x).__name__ or isinstance"
    if name == "__dict__":
        return "use a dict, or dataclasses.asdict"
    return "leave it out; functions work on events, settings and the modules of the author's guide"


def _mark(annotation: ast.expr) -> ast.expr:
    """A class-body annotation without its content; what dataclasses treat differently stays recognizable."""
    text = ast.unparse(annotation)
    head = text.strip("'\"").split("[")[0].rsplit(".", 1)[-1]
    mark = ast.Name(_ANNOTATION_KEEPERS.get(head, "_Annotation_"), ast.Load())
    return ast.copy_location(mark, annotation)


def _leavers(statement: ast.AST, *, in_loop: bool = False) -> list[ast.AST]:
    """`return`, and `break` or `continue` of an outer loop, within `statement`."""
    if isinstance(statement, ast.Return) or (isinstance(statement, ast.Break | ast.Continue) and not in_loop):
        return [statement]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return []
    in_loop = in_loop or isinstance(statement, ast.For | ast.AsyncFor | ast.While)
    return [
        leaver for child in ast.iter_child_nodes(statement) for leaver in _leavers(child, in_loop=in_loop)
    ]
