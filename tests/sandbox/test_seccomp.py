"""The filter's program against its tables, in an interpreter of the few BPF instructions that it uses."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import seccomp
from sandbox.seccomp import ALLOWED, ARCHITECTURES, FILTERED, KILLED, OWN_PID, Call, Program, Verdict

PID = 4711
MACHINES = sorted(ARCHITECTURES)
PROGRAMS = {machine: seccomp.assemble(machine) for machine in MACHINES}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def judge(program: Program, number: int, arguments: tuple[int, ...] = (), arch: int | None = None) -> int:
    """What the program answers; as the kernel runs it (`net/core/filter.c`), on `struct seccomp_data`."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES["x86_64"] if arch is None else arch, 0, *padded)
    lines = list(struct.iter_unpack("<HBBI", program.of_process(PID)))
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, constant = lines[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x15:
                at += if_true if accumulator == constant else if_false
            case 0x35:
                at += if_true if accumulator >= constant else if_false
            case 0x06:
                return constant
            case _:
                pytest.fail(f"the program has an instruction {operation:#x}")


def expected(machine: str, number: int, arguments: tuple[int, ...]) -> Verdict:
    """What the tables say."""
    if number >= seccomp.X32_BIT:
        return Verdict.KILL
    if number in {call.number(machine) for call in ALLOWED}:
        return Verdict.ALLOW
    if number in {call.number(machine) for call in KILLED}:
        return Verdict.KILL
    for filtered in FILTERED:
        if number == filtered.call.number(machine):
            for check in filtered.checks:
                values = {PID if value == OWN_PID else value for value in check.values}
                if arguments[check.argument] & 0xFFFFFFFF & check.mask not in values:
                    return check.otherwise
            return filtered.then
    return Verdict.REFUSE


words = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from(
        [0, 1, 2, 3, 4, 7, 8, 9, 10, 0x22, 0x32, 0x21, 0x40022, 0x5421, 0x10000000, PID, PID + 1]
    ),
    st.sampled_from([0x22, PID, 4]).map(lambda word: word | 1 << 40),
)
numbers = st.one_of(st.integers(0, 600), st.integers(0, 2**32 - 1), st.sampled_from([0x3FFFFFFF, 0x40000000]))


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=300, deadline=None)
@given(number=numbers, arguments=st.tuples(*[words] * 6))
def test_the_program_answers_as_the_tables_say(machine: str, number: int, arguments: tuple[int, ...]) -> None:
    answer = judge(PROGRAMS[machine], number, arguments, ARCHITECTURES[machine])
    assert answer == expected(machine, number, arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_judged_as_the_tables_say(machine: str) -> None:
    for number in range(700):
        answer = judge(PROGRAMS[machine], number, (0,) * 6, ARCHITECTURES[machine])
        assert answer == expected(machine, number, (0,) * 6), number


@pytest.mark.parametrize("machine", MACHINES)
@given(arch=st.integers(0, 2**32 - 1), number=numbers)
def test_a_call_of_another_architecture_kills(machine: str, arch: int, number: int) -> None:
    if arch != ARCHITECTURES[machine]:
        assert judge(PROGRAMS[machine], number, arch=arch) == Verdict.KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_one_that_the_kernel_takes(machine: str) -> None:
    """Every jump goes forward and stays inside; every way ends in an answer; at most 4,096 instructions."""
    lines = list(struct.iter_unpack("<HBBI", PROGRAMS[machine].code))
    assert len(lines) <= 4096
    assert lines[-1][0] == 0x06
    for at, (operation, if_true, if_false, _) in enumerate(lines):
        if operation in {0x15, 0x35}:
            assert at + 1 + max(if_true, if_false) < len(lines)


def test_a_process_may_signal_itself_and_nobody_else() -> None:
    program, (tgkill,) = PROGRAMS["x86_64"], [item for item in FILTERED if item.call.name == "tgkill"]
    number = tgkill.call.number("x86_64")
    assert number is not None
    assert judge(program, number, (PID, PID, 6)) == Verdict.ALLOW
    for other in ((PID + 1, PID, 6), (PID, PID + 1, 6), (1, 1, 9), (0, 0, 9), (2**32 - 1, PID, 9)):
        assert judge(program, number, other) == Verdict.KILL


@pytest.mark.parametrize(
    ("protection", "flags", "verdict"),
    [
        (3, 0x22, Verdict.ALLOW),
        (0, 0x4022, Verdict.ALLOW),
        (7, 0x22, Verdict.KILL),
        (5, 0x02, Verdict.KILL),
        (3, 0x02, Verdict.REFUSE),
        (3, 0x21, Verdict.REFUSE),
        (3, 0x40022, Verdict.REFUSE),
        (3, 0x122, Verdict.REFUSE),
        (3, 0x2022, Verdict.REFUSE),
    ],
)
def test_memory_is_private_anonymous_and_never_executable(
    protection: int, flags: int, verdict: Verdict
) -> None:
    assert judge(PROGRAMS["x86_64"], 9, (0, 4096, protection, flags, 2**64 - 1, 0)) == verdict


def test_no_call_is_in_two_groups_and_each_has_its_reason() -> None:
    calls = [*ALLOWED, *KILLED, *(filtered.call for filtered in FILTERED)]
    assert len({call.name for call in calls}) == len(calls)
    assert all(call.reason for call in calls)
    for machine in MACHINES:
        found = [call.number(machine) for call in calls if call.number(machine) is not None]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} isn't installed: there is nothing to compare with")
    pattern = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    known = {name: int(number) for name, number in re.findall(pattern, header.read_text("ascii"))}

    def differs(call: Call) -> bool:
        return call.number(machine) != known.get(call.name)

    assert [
        call.name for call in (*ALLOWED, *KILLED, *(item.call for item in FILTERED)) if differs(call)
    ] == []


def test_another_machine_is_no_key_of_the_table() -> None:
    with pytest.raises(KeyError):
        seccomp.assemble("riscv64")
