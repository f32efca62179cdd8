"""`pydash` (lodash's port): its functions, whose paths lead through dicts, lists and tuples, and read no attribute.

The library's own paths read and set attributes named by data, and list what is in an object's `__dict__`; it compares what it
calls with every builtin there is, by the object's own `__eq__`. These few functions of it are replaced before anything is
offered, wherever the library holds them. What calls methods named by data, catches every error or starts a thread is left out.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import pydash
from pydash import helpers, predicates, utilities

from sandbox.facades import pinned
from sandbox.whitelist import Entry

# --- What is replaced


def _iterator(obj: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and values; of what is neither a mapping nor a sequence there are none."""
    if isinstance(obj, Mapping):
        return iter(obj.items())
    return enumerate(obj) if isinstance(obj, Iterable) else iter(())


def _base_get(obj: Any, key: Any, default: Any = helpers.UNSET) -> Any:
    """`obj[key]`, also where the key is a number's text; fields of named tuples. Raises `KeyError` without a default."""
    for wanted in (key, _as_index(key)):
        if isinstance(obj, Mapping) and wanted not in obj:  # a `defaultdict` would make it
            continue
        try:
            return obj[_place(obj, wanted)]
        except Exception:  # noqa: BLE001, S112  whatever it is, the key isn't there
            continue
    if default is helpers.UNSET:
        raise KeyError(key)
    return default


def _as_index(key: Any) -> Any:
    try:
        return key if isinstance(key, int) else int(key)
    except (TypeError, ValueError):
        return key


def _place(obj: Any, key: Any) -> Any:
    fields = getattr(type(obj), "_fields", ()) if isinstance(obj, tuple) else ()
    return fields.index(key) if isinstance(key, str) and key in fields else key


def _base_set(obj: Any, key: Any, value: Any, allow_override: bool = True) -> Any:
    """Of dicts and lists alone; a list grows as far as it must. Raises `TypeError` for all else."""
    if isinstance(obj, dict):
        if allow_override or key not in obj:
            obj[key] = value
    elif isinstance(obj, list):
        index = int(key)
        if index < len(obj):
            if allow_override:
                obj[index] = value
        else:
            obj.extend([None] * (index - len(obj)))
            obj.append(value)
    elif obj is not None:
        raise TypeError(f"pydash sets values in dicts and lists here, not in {type(obj).__name__}")
    return obj


def _is_builtin(value: Any) -> bool:
    return isinstance(value, types.BuiltinFunctionType | type)


_REPLACED: Final[dict[Any, Any]] = {
    helpers.iterator: _iterator,
    helpers.base_get: _base_get,
    helpers.base_set: _base_set,
    predicates.is_builtin: _is_builtin,
}


def _replace() -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "pydash":
            for attribute, value in list(vars(module).items()):
                if isinstance(value, types.FunctionType) and value in _REPLACED:
                    setattr(module, attribute, _REPLACED[value])
    helpers.BUILTINS.clear()


_replace()

# --- What is offered

_ARRAYS: Final = (
    "chunk compact concat difference difference_by difference_with drop drop_right drop_right_while drop_while duplicates fill"
    " find_index find_last_index flatten flatten_deep flatten_depth from_pairs head index_of initial intersection"
    " intersection_by intersection_with intersperse last last_index_of mapcat nth pull pull_all pull_at remove reverse slice_"
    " sorted_index sorted_uniq splice split_at tail take take_right take_right_while take_while union union_by union_with uniq"
    " uniq_by uniq_with unzip unzip_with without xor xor_by xor_with zip_ zip_object zip_object_deep zip_with"
)
_COLLECTIONS: Final = (
    "at count_by every filter_ find find_last flat_map flat_map_deep for_each for_each_right group_by includes key_by map_ nest"
    " order_by partition pluck reduce_ reduce_right reject sample sample_size shuffle size some sort_by"
)
_FUNCTIONS: Final = (
    "ary curry flip flow flow_right juxtapose negate once over_args partial partial_right rearg spread unary"
)
_NUMBERS: Final = (
    "add ceil clamp divide floor max_ max_by mean mean_by median min_ min_by multiply power round_ std_deviation subtract sum_"
    " sum_by variance"
)
_OBJECTS: Final = (
    "assign assign_with clone clone_deep defaults defaults_deep find_key find_last_key for_in get has invert invert_by keys"
    " map_keys map_values map_values_deep merge merge_with omit omit_by parse_int pick pick_by rename_keys set_ set_with"
    " to_boolean to_dict to_integer to_list to_number to_pairs to_string transform unset update update_with values"
)
_PREDICATES: Final = (
    "eq gt gte in_range is_blank is_boolean is_date is_dict is_empty is_equal is_equal_with is_error is_even is_float"
    " is_function is_indexed is_instance_of is_integer is_iterable is_json is_list is_match is_match_with is_nan is_negative"
    " is_none is_number is_object is_odd is_positive is_reg_exp is_set is_string is_tuple is_zero lt lte"
)
_STRINGS: Final = (
    "camel_case capitalize chars clean count_substr deburr decapitalize ends_with ensure_ends_with ensure_starts_with escape"
    " escape_reg_exp has_substr human_case insert_substr join kebab_case lines lower_case lower_first number_format pad pad_end"
    " pad_start pascal_case prune quote reg_exp_replace repeat replace replace_end replace_start separator_case series_phrase"
    " slugify snake_case split start_case starts_with strip_tags substr_left substr_right surround swap_case title_case"
    " to_lower to_upper trim trim_end trim_start truncate unescape unquote upper_case upper_first url words"
)
_UTILITIES: Final = (
    "cond conforms conforms_to constant default_to default_to_any identity iteratee matches matches_property memoize noop now"
    " nth_arg over over_every over_some properties property_ property_of random range_ range_right stub_dict stub_list times"
    " to_path unique_id"
)
_NAMES: Final = (
    f"{_ARRAYS} {_COLLECTIONS} {_FUNCTIONS} {_NUMBERS} {_OBJECTS} {_PREDICATES} {_STRINGS} {_UTILITIES}"
)
_PICKED: Final[dict[str, Callable[..., Any]]] = {name: getattr(pydash, name) for name in _NAMES.split()}


def _picked(name: str) -> Callable[..., Any]:
    """`map` stands for `map_` too, as in the library."""
    for known in (name, f"{name}_"):
        if known in _PICKED:
            return _PICKED[known]
    raise AttributeError(f"pydash.{name} is not available here")


class _Chain:
    """`chain(value).map(…).filter(…).value()`: one call after the other, each at once."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, _picked(name))

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> _Chain:
        return _Chain(function(self._value, *args, **options))

    def value(self) -> Any:
        """What has come of it."""
        return self._value


def chain(value: Any = None) -> _Chain:
    """`pydash.chain`."""
    return _Chain(value)


class _Dash:
    """`py_` and `_`: all that is offered, and `_(value)` for a chain."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return _picked(name)

    def __call__(self, value: Any = None) -> _Chain:
        return _Chain(value)

    def chain(self, value: Any = None) -> _Chain:
        """`pydash.chain`."""
        return _Chain(value)


def pin(now_ms: int) -> None:
    """In a function's own tests: `now` tells this time."""
    vars(utilities)["datetime"] = pinned.time_names(now_ms)["datetime"]["datetime"]


_DASH: Final = _Dash()
MODULES: Final = {
    "pydash": Entry(
        f"{_NAMES} chain py_ _",
        "lodash's functions; paths lead through dicts and lists, not attributes; what calls methods by name is left out",
        {**_PICKED, "chain": chain, "py_": _DASH, "_": _DASH},
        is_ours=True,
    ),
}
"""What is visible of it."""
