"""What the jail's layers were seen to do: proofs as the zygote reports them, judged and summed up. No I/O.

A zygote tries, before it forks any worker, whatever must not work (`sandbox/probe.py`). The daemon serves only if each layer
holds, or is absent and waived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STATES: Final = ("holding", "absent", "broken")


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that was tried, or set up."""

    layer: str
    state: str
    """`holding`; `absent`: this host hasn't got it, and it was waived; `broken`: what must not work works."""
    tried: str
    answer: str
    """The kernel's: the name of an error, a signal, or a value."""
    remedy: str
    """What to change on this host, were it not holding."""


def read(rows: Any) -> list[Proof]:
    """A zygote's rows. Raises `ValueError` unless they are texts, five each, with a known state."""
    proofs = [Proof(*row) for row in rows if len(row) == 5 and all(type(cell) is str for cell in row)]
    if not proofs or len(proofs) != len(rows) or any(proof.state not in STATES for proof in proofs):
        raise ValueError("the zygote's report on the jail can't be read")
    return proofs


def require(proofs: Iterable[Proof]) -> None:
    """Raise `Unavailable`, naming the first layer that doesn't hold."""
    for proof in proofs:
        if proof.state == "broken":
            raise Unavailable(
                f"the jail's layer {proof.layer} doesn't hold: {proof.tried} answered: {proof.answer}",
                remedy=f"{proof.remedy}; `engine doctor` shows every layer",
            )


def by_layer(proofs: Iterable[Proof]) -> list[dict[str, Any]]:
    """A map a layer: layer, state (its worst), attempts of tried and answer, remedy (only where it doesn't hold)."""
    layers: dict[str, list[Proof]] = {}
    for proof in proofs:
        layers.setdefault(proof.layer, []).append(proof)
    return [_layer(name, members) for name, members in layers.items()]


def _layer(name: str, proofs: Sequence[Proof]) -> dict[str, Any]:
    state = max((proof.state for proof in proofs), key=STATES.index)
    return {
        "layer": name,
        "state": state,
        "attempts": [
            {"tried": proof.tried, "answer": proof.answer, "state": proof.state} for proof in proofs
        ],
        "remedy": "" if state == "holding" else proofs[0].remedy,
    }


def summary(proofs: Iterable[Proof]) -> list[dict[str, str]]:
    """A map a layer: layer, state, and the kernel's answers, each once."""
    return [
        {
            "layer": layer["layer"],
            "state": layer["state"],
            "answer": ", ".join(dict.fromkeys(attempt["answer"] for attempt in layer["attempts"])),
        }
        for layer in by_layer(proofs)
    ]
