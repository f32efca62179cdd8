"""The guides say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from engine.api.table import OPERATIONS as OPERATION_TABLE
from engine.cli.main import COMMANDS
from engine.config import Config
from engine.docs.equivalents import EQUIVALENTS, Equivalent
from sandbox import modules
from sandbox.compiler import LibrariesNeeded, compile_source
from sandbox.wire import LIBRARIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "engine" / "docs"
OPERATIONS = DOCS / "operations.md"
GUIDES = [ROOT / "README.md", DOCS / "functions.md", DOCS / "http.md", OPERATIONS]
FUNCTIONS = [
    block
    for path in GUIDES
    for block in re.findall(r"(?ms)^```python\n(.*?)^```$", path.read_text("utf-8"))
    if "def on_" in block
]


def test_the_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.docs", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_have_examples() -> None:
    assert len(FUNCTIONS) >= 3


@pytest.mark.parametrize("source", FUNCTIONS)
def test_every_function_in_the_guides_compiles(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_ALLOWED", set(LIBRARIES))
    try:
        assert compile_source(source, "function.py", finds_libraries=True)
    except LibrariesNeeded:
        assert "jwt" in source


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_command_that_the_guides_tell_to_type_exists(path: Path) -> None:
    typed = re.findall(r"(?m)(?:^ *|`)engine ([a-z]+)", path.read_text("utf-8"))
    assert typed
    assert set(typed) <= set(COMMANDS)


@pytest.mark.parametrize("operation", OPERATION_TABLE)
def test_every_operation_is_in_the_description_of_the_protocol(operation: str) -> None:
    table = (ROOT / "engine" / "README.md").read_text("utf-8").partition("### Operations")[2]
    assert f"`{operation}`" in table


@pytest.mark.parametrize(
    "link", sorted(set(re.findall(r"\]\(([^)#]+)[)#]", (ROOT / "README.md").read_text("utf-8"))))
)
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_operators_guide(command: str) -> None:
    assert f"engine {command}" in OPERATIONS.read_text("utf-8")


@pytest.mark.parametrize("setting", [item.name for item in fields(Config)])
def test_every_setting_is_in_the_operators_guide(setting: str) -> None:
    assert f"| `{setting}` |" in OPERATIONS.read_text("utf-8")


DOCUMENTS_LIST = (
    "atob aws-sdk btoa fetch-retry form-data @google-cloud/automl @google-cloud/bigquery @google-cloud/datastore"
    " @google-cloud/firestore @google-cloud/functions @google-cloud/pubsub @google-cloud/storage @google-cloud/tasks"
    " hubspot-api-nodejs jsforce jsonwebtoken libphonenumber-js lodash mailchimp mailjet moment-timezone node-fetch oauth"
    " @sendgrid/client @sendgrid/mail skyflow stripe twilio uuidv5 winston xml xml2js zlib crypto https"
)
"""The dependencies that the document names, in its order, and the modules of Node.js."""


def test_each_name_of_the_documents_list_has_its_row() -> None:
    assert [item.dependency.split()[0] for item in EQUIVALENTS] == DOCUMENTS_LIST.split()


@pytest.mark.parametrize("item", EQUIVALENTS, ids=lambda item: item.dependency)
def test_what_stands_in_for_a_name_can_be_imported(item: Equivalent) -> None:
    for module in item.modules.split():
        assert module in modules.WHITELIST or module in LIBRARIES
        assert f"`{module}" in item.here
    assert item.modules or re.search(r"`fetch|RetryError", item.here)
