"""The RestrictedPython transformer: which syntax and which names a function may use.

Stock RestrictedPython asks at run time, at each attribute, item and iteration. Attribute names are static, so here
they are judged when the source is compiled (`names` has the rules); what is left for run time is `.format`, which looks
names up from data, and attribute stores. That is sound only because no real module is reachable from a function,
nothing of ours that can be changed is shared with it, and nothing it is offered looks a name up from data.

An author's private names (`_x`) are renamed to names that no library object has. Guards have names that aren't
identifiers, so that nothing shadows them.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from RestrictedPython.transformer import RestrictingNodeTransformer

from sandbox import guards, modules
from sandbox.names import (
    CLASS_DUNDERS,
    FORMATS,
    GUARDED_METHODS,
    LITERAL_DUNDERS,
    MARK,
    MODULE_DUNDERS,
    REFUSED_ATTRIBUTES,
    SUPER_DUNDERS,
    attribute_refusal,
    class_private,
    is_dunder,
    mangle,
)
from sandbox.trees import (
    ATTRIBUTE_REMEDIES,
    BUILTIN_REMEDIES,
    GUIDE,
    bindings,
    dunder_remedy,
    is_super,
    leavers,
    mark,
    whose_class,
)
from sandbox.whitelist import SUBSTITUTES

if TYPE_CHECKING:
    from collections.abc import Iterator


REFUSALS_MAX: Final = 100


class EnoughRefused(Exception):
    """`REFUSALS_MAX` is reached: nobody reads on, and each remedy costs time to find."""


class Policy(RestrictingNodeTransformer):
    """Visit a module's tree; `found` holds (node, rule, message, remedy) of everything that is refused.

    Visiting raises `EnoughRefused` once there are `REFUSALS_MAX` of them.
    """

    def __init__(self, *, finds_libraries: bool = False) -> None:
        """With `finds_libraries`, imports of those that other workers have are only noted, in `libraries`."""
        super().__init__()
        self.found: list[tuple[ast.AST, str, str, str]] = []
        self.libraries: set[str] = set()
        self._finds_libraries = finds_libraries
        self._bound: frozenset[str] = frozenset()
        self._imports: dict[str, str] = {}
        self._scopes: list[str] = ["module"]
        self._classes: list[str] = [""]
        self._optional = 0

    def refuse(self, node: ast.AST, rule: str, message: str, remedy: str) -> None:
        """Note a refusal and go on, so that an author sees all of them at once."""
        if not any(known is node and earlier == rule for known, earlier, _, _ in self.found):
            self.found.append((node, rule, message, remedy))
        if len(self.found) >= REFUSALS_MAX:
            raise EnoughRefused

    def error(self, node: ast.AST, info: str) -> None:
        """RestrictedPython's own refusals."""
        self.refuse(node, "refused-syntax", info, GUIDE)

    def warn(self, node: ast.AST, info: str) -> None:
        """RestrictedPython's warnings are of no use to an author here."""

    def not_allowed(self, node: ast.AST) -> None:
        """Syntax that isn't in the list below: what a later Python brings is refused until someone has thought about it."""
        self.refuse(node, "refused-syntax", f"{type(node).__name__} is not available in a function", GUIDE)

    def _plain(self, node: ast.AST) -> ast.AST:
        ast.NodeTransformer.generic_visit(self, node)
        return node

    @contextlib.contextmanager
    def _scope(self, kind: str) -> Iterator[None]:
        self._scopes.append(kind)
        yield
        self._scopes.pop()

    # --- Module and names

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """The whole source."""
        self._bound, self._imports = bindings(node)
        return self._plain(node)

    def _own_name(self, node: ast.AST, name: str) -> str:
        """A name that the author binds → what it becomes."""
        scope = self._scopes[-1]
        if name.startswith(MARK):
            self.refuse(
                node,
                "reserved-name",
                f"the name {name} begins with a reserved letter",
                "begin it with an underscore",
            )
        elif name == "super":
            self.refuse(node, "reserved-name", "super can't be redefined", "choose another name")
        elif is_dunder(name):
            allowed = {
                "class": CLASS_DUNDERS - GUARDED_METHODS - LITERAL_DUNDERS,
                "module": MODULE_DUNDERS,
            }.get(scope, frozenset())
            if name not in allowed:
                self.refuse(
                    node, "dunder-name", f"the name {name} is Python's own", dunder_remedy(name, scope)
                )
        elif scope == "class" and name in REFUSED_ATTRIBUTES:
            self.refuse(
                node, "refused-attribute", f"no attribute may be called {name}", "choose another name"
            )
        return mangle(class_private(name, self._classes[-1]))

    def _attribute_name(self, node: ast.AST, name: str) -> str:
        """An attribute that the author names → what it becomes."""
        if name.startswith(MARK):
            self.refuse(
                node,
                "reserved-name",
                f"the name {name} begins with a reserved letter",
                "begin it with an underscore",
            )
        reason = attribute_refusal(name)
        if reason:
            remedy = ATTRIBUTE_REMEDIES.get(name, "leave it out; " + GUIDE)
            self.refuse(node, "refused-attribute", f"the attribute {name} is not available: {reason}", remedy)
        return mangle(name)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name read, bound or deleted."""
        name = node.id
        if not isinstance(node.ctx, ast.Load):
            node.id = self._own_name(node, name)
            return node
        if is_dunder(name) and name not in {"__name__", "__debug__"} and name not in self._bound:
            self.refuse(node, "dunder-name", f"the name {name} is Python's own", dunder_remedy(name, "read"))
        elif name in self._bound or name in guards.OFFERED_BUILTINS or name in modules.INJECTED:
            pass
        elif name in BUILTIN_REMEDIES:
            self.refuse(
                node, "refused-builtin", f"{name} is not available in a function", BUILTIN_REMEDIES[name]
            )
        elif modules.is_module(name):
            self.refuse(node, "not-imported", f"{name} is not imported", f"add `import {name}` at the top")
        elif name in SUBSTITUTES:
            self.refuse(node, "refused-import", f"the module {name} is not available", SUBSTITUTES[name])
        if name.startswith(MARK):
            self._own_name(node, name)
        node.id = mangle(class_private(name, self._classes[-1]))
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
        if name == "__name__" and is_read and (subject := whose_class(node.value, self._bound)):
            return self._call(guards.TYPE_NAME, node, [self.visit(subject)])
        if (
            is_read
            and name in _GUARDED_READS
            and not (name == "__init__" and is_super(node.value, bare=True))
        ):
            return self._call(_GUARDED_READS[name], node, [self.visit(node.value)])
        if is_read and is_super(node.value) and name in SUPER_DUNDERS:
            pass
        elif not is_read and is_dunder(name):
            self.refuse(
                node, "refused-attribute", f"{name} can't be set", ATTRIBUTE_REMEDIES.get(name, GUIDE)
            )
        else:
            node.attr = self._attribute_name(node, class_private(name, self._classes[-1]))
        module = self._module_of(node.value)
        if module and not is_dunder(name) and name not in modules.visible_names(module):
            full = f"{module}.{name}"
            self.refuse(node, "refused-import", f"{full} is not available", modules.substitute(full))
        node.value = self.visit(node.value)
        if not is_read:
            node.value = self._call(guards.WRITE, node, [node.value])
        elif name in FORMATS:
            return self._call(guards.FORMAT, node, [node.value, ast.Constant(name)])
        return node

    def _module_of(self, node: ast.expr) -> str:
        """The module that an expression names, if it names one for certain."""
        if isinstance(node, ast.Name):
            return self._imports.get(node.id, "")
        if isinstance(node, ast.Attribute) and (parent := self._module_of(node.value)):
            full = f"{parent}.{node.attr}"
            return full if modules.is_module(full) else ""
        return ""

    @staticmethod
    def _call(name: str, node: ast.AST, arguments: list[ast.expr]) -> ast.Call:
        call = ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=arguments, keywords=[])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call. `getattr`, `hasattr` and `object.__setattr__` with the name written out are attributes."""
        guard = self._named_access(node)
        if guard:
            name = node.args[1]
            assert isinstance(name, ast.Constant)
            assert isinstance(name.value, str)
            name.value = self._attribute_name(node, name.value)
            return self._call(guard, node, [self.visit(argument) for argument in node.args])
        private = [
            keyword
            for keyword in node.keywords
            if keyword.arg is not None and mangle(keyword.arg) != keyword.arg
        ]
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg.startswith(MARK):
                self._own_name(keyword, keyword.arg)
        self._plain(node)
        if private:
            node.args.insert(0, node.func)
            node.func = ast.copy_location(ast.Name(guards.KEYWORDS, ast.Load()), node)
        return node

    def _named_access(self, node: ast.Call) -> str:
        """The guard that does what this call does, if it reads or sets an attribute whose name is written out."""
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            return ""
        counts: tuple[int, ...]
        match node.func:
            case ast.Name("getattr") if "getattr" not in self._bound:
                guard, counts = guards.GET, (2, 3)
            case ast.Name("hasattr") if "hasattr" not in self._bound:
                guard, counts = guards.HAS, (2,)
            case ast.Attribute(ast.Name("object"), "__setattr__") if "object" not in self._bound:
                guard, counts = guards.SET, (3,)
            case _:
                return ""
        name = (
            node.args[1].value
            if len(node.args) in counts and isinstance(node.args[1], ast.Constant)
            else None
        )
        named = isinstance(name, str) and name.isidentifier() and name not in FORMATS
        return guard if named else ""

    # --- Assignments

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`a = b = value`."""
        target = node.targets[0]
        if (
            self._scopes[-1] == "class"
            and isinstance(target, ast.Name)
            and target.id in LITERAL_DUNDERS
            and len(node.targets) == 1
        ):
            self._judge_names(node, target.id)
            return node
        return self._plain(node)

    def _judge_names(self, node: ast.Assign, variable: str) -> None:
        """`__slots__ = ("a", "_b")`: names in text, judged and renamed as attributes are."""
        value = node.value
        items = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
        for item in items:
            if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
                self.refuse(
                    node, "literal-names", f"{variable} must be written out", f'write {variable} = ("a", "b")'
                )
            elif item.value not in {"__dict__", "__weakref__"} or variable != "__slots__":
                item.value = (
                    self._matched_name(item, item.value)
                    if variable == "__match_args__"
                    else self._attribute_name(item, class_private(item.value, self._classes[-1]))
                )

    def _matched_name(self, node: ast.AST, name: str) -> str:
        """An attribute that `match` reads, past every guard → what it becomes."""
        if name in FORMATS:
            remedy = "match the class alone, and read the attribute behind it"
            self.refuse(node, "refused-attribute", f"a pattern can't read the attribute {name}", remedy)
        return self._attribute_name(node, name)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`x.a += 1` reads `x.a` past every guard."""
        if isinstance(node.target, ast.Attribute) and node.target.attr in FORMATS:
            name = node.target.attr
            remedy = f"write x.{name} = x.{name} + …"
            self.refuse(
                node, "refused-attribute", f"the attribute {name} can't be read and set at once", remedy
            )
        return self._plain(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Annotations of variables go; those of a class stay as marks, so that dataclasses see their fields."""
        if (
            self._scopes[-1] == "class"
            and isinstance(node.target, ast.Name)
            and not is_dunder(node.target.id)
        ):
            node.annotation = mark(node.annotation)
            node.target = self.visit(node.target)
            node.value = self.visit(node.value) if node.value is not None else None
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        plain: ast.AST = self.visit(
            ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
        )
        return plain

    def visit_TypeAlias(self, node: Any) -> ast.AST:
        """`type X = …`."""
        return self._plain(node)

    def _visit_type_parameter(self, node: Any) -> ast.AST:
        node.name = self._own_name(node, node.name)
        return self._plain(node)

    visit_TypeVar = visit_ParamSpec = visit_TypeVarTuple = _visit_type_parameter  # noqa: N815  the names RestrictedPython calls

    # --- Functions and classes

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        guard = guards.METHOD_GUARDS.get(node.name) if self._scopes[-1] == "class" else None
        node.name = node.name if guard else self._own_name(node, node.name)
        node.returns = None
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        if guard:
            node.decorator_list.insert(0, ast.copy_location(ast.Name(guard, ast.Load()), node))
        with self._scope("function"):
            if sys.version_info >= (3, 12):
                node.type_params = [self.visit(item) for item in node.type_params]
            self._visit_arguments(node.args)
            node.body = self._visit_body(node.body)
        return node

    def _visit_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [self.visit(statement) for statement in body]

    def _visit_arguments(self, arguments: ast.arguments) -> None:
        plain = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        for argument in (*plain, arguments.vararg, arguments.kwarg):
            if argument is not None:
                argument.annotation = None
                argument.arg = self._own_name(argument, argument.arg)
        arguments.defaults = [self.visit(item) for item in arguments.defaults]
        arguments.kw_defaults = [item and self.visit(item) for item in arguments.kw_defaults]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """`def`."""
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """`async def`."""
        return self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """`lambda`."""
        with self._scope("function"):
            self._visit_arguments(node.args)
            node.body = self.visit(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """`class`."""
        for keyword in node.keywords:
            if keyword.arg in {"metaclass", None}:
                remedy = "inherit from Enum, ABC or Protocol where you need theirs"
                self.refuse(node, "metaclass", "a class can't choose its metaclass", remedy)
            else:
                keyword.arg = mangle(keyword.arg or "")
        source_name, node.name = node.name, self._own_name(node, node.name)
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        if sys.version_info >= (3, 12):
            with self._scope("function"):
                node.type_params = [self.visit(item) for item in node.type_params]
        node.bases = [self.visit(base) for base in node.bases]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        self._classes.append(source_name)
        with self._scope("class"):
            node.body = self._visit_body(node.body)
        self._classes.pop()
        return node

    # --- Statements

    def visit_If(self, node: ast.If) -> ast.AST:
        """`if TYPE_CHECKING:` is for type checkers: what it imports need not exist here, since annotations go too."""
        if isinstance(node.test, ast.Name | ast.Attribute) and _last(node.test) == "TYPE_CHECKING":
            node.body = [ast.copy_location(ast.Pass(), node)]
        return self._plain(node)

    def visit_Try(self, node: ast.Try) -> ast.AST:
        """What ends an invocation passes every handler, and no `finally` swallows it."""
        for statement in node.finalbody:
            for leaver in leavers(statement):
                self.refuse(
                    leaver,
                    "leaves-finally",
                    f"{type(leaver).__name__.lower()} in finally would swallow errors",
                    "move it behind the try statement",
                )
        is_optional = any(_catches_import_error(handler.type) for handler in node.handlers)
        self._optional += is_optional
        node.body = self._visit_body(node.body)
        self._optional -= is_optional
        node.handlers = [self.visit(handler) for handler in node.handlers]
        node.orelse, node.finalbody = self._visit_body(node.orelse), self._visit_body(node.finalbody)
        if node.handlers:
            handler = self._handler(node.handlers[0], guards.ENDINGS, ast.Raise())
            node.handlers.insert(0, handler)
        if node.finalbody:
            place = node.finalbody[0]
            cause = ast.Raise(exc=self._call(guards.COVERED, place, []))
            handler = self._handler(place, guards.COVERING, cause)
            body = ast.Try(body=node.finalbody, handlers=[handler], orelse=[], finalbody=[])
            node.finalbody = [ast.copy_location(body, place)]
        return node

    def _handler(self, place: ast.AST, guard: str, statement: ast.stmt) -> ast.ExceptHandler:
        """`except <guard>(): statement`."""
        kinds = self._call(guard, place, [])
        handler = ast.ExceptHandler(type=kinds, name=None, body=[statement])
        return ast.fix_missing_locations(ast.copy_location(handler, place))

    def visit_TryStar(self, node: ast.AST) -> ast.AST:
        """`except*` hides what it caught."""
        self.refuse(node, "except-star", "except* is not available", "catch ExceptionGroup with `except`")
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """`except X as name`."""
        if node.name is not None:
            node.name = self._own_name(node, node.name)
        return self._plain(node)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """`import a.b as c`."""
        for alias in node.names:
            self._check_module(_place(node, alias), alias.name)
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
        is_known = self._check_module(node, node.module)
        if is_known or self._optional:
            for alias in node.names:
                if alias.name == "*":
                    self.refuse(node, "import-star", "import * is not available", "name what you need")
                elif is_known and not self._optional and alias.name not in modules.visible_names(node.module):
                    self.refuse(
                        _place(node, alias),
                        "refused-import",
                        f"{node.module}.{alias.name} is not available",
                        modules.substitute(f"{node.module}.{alias.name}"),
                    )
                if alias.asname is not None:
                    alias.asname = self._own_name(node, alias.asname)
        return node

    def _check_module(self, node: ast.AST, name: str) -> bool:
        if modules.is_module(name):
            return True
        if self._finds_libraries and modules.is_elsewhere(name):
            self.libraries.add(name.split(".", maxsplit=1)[0])
            return False
        if self._optional:  # the importer refuses it, as the author expects
            return False
        self.refuse(node, "refused-import", f"the module {name} is not available", modules.substitute(name))
        return False

    # --- Patterns: names hide in plain strings here

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        """`case X(name=…)`."""
        node.kwd_attrs = [self._matched_name(node, name) for name in node.kwd_attrs]
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


def _catches_import_error(kind: ast.expr | None) -> bool:
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(
        isinstance(name, ast.Name) and name.id in {"ImportError", "ModuleNotFoundError"} for name in names
    )


def _last(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


_GUARDED_READS: Final = {"__init__": guards.INIT, "__members__": guards.MEMBERS, "__class__": guards.TYPE}
_ALLOWED: Final = (
    "Await AsyncFor AsyncWith With For While Delete Return Expr Constant Yield YieldFrom Starred Assert Raise IfExp"
    " JoinedStr FormattedValue ListComp SetComp DictComp GeneratorExp comprehension Match match_case MatchValue"
    " MatchSingleton MatchSequence MatchOr withitem keyword Pass Break Continue Subscript NamedExpr List Tuple"
    " Dict Set Slice BinOp UnaryOp BoolOp Compare Load Store Del And Or"
)
"""Syntax that is fine as it is, as long as what it is made of is."""
_OPERATORS: Final = " ".join(
    kind.__name__
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.operator | ast.unaryop | ast.cmpop)
)
for _name in f"{_ALLOWED} {_OPERATORS}".split():
    setattr(Policy, f"visit_{_name}", Policy._plain)  # noqa: SLF001  its own class


def _place(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.AST:
    """Where a refused name of an import stands: the first at the statement, so that each of several is told."""
    return node if alias is node.names[0] else alias
