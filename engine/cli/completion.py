"""`engine completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from engine.cli import output

_INSTALL = {
    "bash": 'eval "$(engine completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(engine completion zsh)"       # in ~/.zshrc, after compinit',
    "fish": "engine completion fish | source       # in ~/.config/fish/config.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(_INSTALL.values()))
@click.argument("shell", type=click.Choice(tuple(_INSTALL)))
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_context
def completion_command(context: click.Context, shell: str, is_json: bool) -> None:
    """Print what makes a shell complete commands and options."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    script = completion_class(context.find_root().command, {}, "engine", "_ENGINE_COMPLETE").source()
    output.done({"shell": shell, "script": script}, script, is_json=is_json)
