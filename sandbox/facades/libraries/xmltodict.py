"""`xmltodict`, with what `defusedxml` forbids: no entity is declared or resolved, so that no document grows as it is read.

The parser is the engine's own: a function can't hand one in, and gets hold of none.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final, NoReturn
from xml.parsers import expat

import xmltodict
from defusedxml.common import EntitiesForbidden, ExternalReferenceForbidden

from sandbox.whitelist import Entry

_PARSE_OPTIONS: Final = frozenset(
    "item_depth item_callback xml_attribs attr_prefix cdata_key force_cdata cdata_separator postprocessor dict_constructor"
    " strip_whitespace namespaces force_list comment_key".split()
)
_UNPARSE_OPTIONS: Final = frozenset(
    "attr_prefix cdata_key depth preprocessor pretty newl indent namespace_separator namespaces expand_iter comment_key bytes_errors".split()
)


def _entity(name: str, _is_parameter: bool, *declared: Any) -> NoReturn:
    raise EntitiesForbidden(name, *declared)


def _unparsed_entity(name: str, *declared: Any) -> NoReturn:
    raise EntitiesForbidden(name, None, *declared)


def _external_entity(*declared: Any) -> NoReturn:
    raise ExternalReferenceForbidden(*declared)


def _defused(encoding: str | None, namespace_separator: str | None) -> Any:
    parser = expat.ParserCreate(encoding, namespace_separator)
    parser.EntityDeclHandler = _entity
    parser.UnparsedEntityDeclHandler = _unparsed_entity
    parser.ExternalEntityRefHandler = _external_entity
    return parser


_EXPAT: Final = SimpleNamespace(ParserCreate=_defused)


def _text(xml_input: Any) -> str | bytes:
    if hasattr(xml_input, "read"):
        xml_input = xml_input.read()
    if isinstance(xml_input, str):
        return str.__str__(xml_input)
    if isinstance(xml_input, bytes | bytearray):
        return bytes(xml_input)
    return b"".join(chunk.encode() if isinstance(chunk, str) else bytes(chunk) for chunk in xml_input)


def parse(
    xml_input: Any,
    encoding: str | None = None,
    *,
    process_namespaces: bool = False,
    namespace_separator: str = ":",
    process_comments: bool = False,
    **options: Any,
) -> Any:
    """`xmltodict.parse`. Raises `ExpatError`, and `ValueError` for a document that declares entities."""
    _check(options, _PARSE_OPTIONS, "parse")
    return xmltodict.parse(
        _text(xml_input),
        encoding,
        _EXPAT,
        process_namespaces,
        namespace_separator,
        disable_entities=False,  # the parser refuses them itself
        process_comments=process_comments,
        **options,
    )


def unparse(
    input_dict: Any,
    output: Any = None,
    encoding: str = "utf-8",
    full_document: bool = True,
    short_empty_elements: bool = False,
    **options: Any,
) -> str | None:
    """`xmltodict.unparse`: the text, or None if it was written to `output`."""
    _check(options, _UNPARSE_OPTIONS, "unparse")
    text: str = xmltodict.unparse(
        input_dict,
        None,
        encoding,
        full_document,
        short_empty_elements,
        **options,
    )
    if output is None:
        return text
    output.write(text)
    return None


def _check(options: dict[str, Any], known: frozenset[str], name: str) -> None:
    for option in options.keys() - known:
        raise TypeError(f"xmltodict.{name} has no option {option!r} here")


MODULES: Final = {
    "xmltodict": Entry(
        "parse unparse ParsingInterrupted",
        "XML ↔ dicts; entities are refused, as defusedxml does",
        {"parse": parse, "unparse": unparse, "ParsingInterrupted": xmltodict.ParsingInterrupted},
        is_ours=True,
    ),
    "xml.parsers.expat": Entry(
        "ExpatError", "the error of a malformed document", {"ExpatError": expat.ExpatError}, is_ours=True
    ),
}
"""What is visible of it."""
