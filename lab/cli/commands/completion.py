"""``ringwalk completion``: prints a script by which a shell completes commands, options and values."""

from __future__ import annotations

import argparse
import importlib
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lab.trials.parts import PartParser

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "completion"
HELP = "print a script that completes ringwalk's command line in bash, zsh or fish"
EXAMPLES = (
    "  ringwalk completion bash > ~/.local/share/bash-completion/completions/ringwalk\n"
    "  ringwalk completion zsh > ~/.zfunc/_ringwalk     with ~/.zfunc in fpath, before compinit\n"
    "  ringwalk completion fish > ~/.config/fish/completions/ringwalk.fish"
)

_LOOKUP: Final = """_ringwalk_words() {{
    case "$1" in
{cases}
    esac
}}
_ringwalk_values() {{
    case "$1" in
{values}
    esac
}}
_ringwalk_path() {{ # the longest run of words that are subcommands
    local trail= word  # not "path": in zsh that is PATH
    for word in "$@"; do
        case "$word" in -*) continue ;; esac
        if [ -n "$(_ringwalk_words "${{trail:+$trail }}$word")" ]; then trail="${{trail:+$trail }}$word"; fi
    done
    printf '%s' "$trail"
}}
"""
_FISH_LOOKUP: Final = """function __ringwalk_words
    switch $argv[1]
{cases}
    end
end
function __ringwalk_values
    switch $argv[1]
{values}
    end
end
"""
_BASH: Final = """_ringwalk() {
    local current=${COMP_WORDS[COMP_CWORD]} path words
    path=$(_ringwalk_path "${COMP_WORDS[@]:1:COMP_CWORD-1}")
    words=$(_ringwalk_values "$path ${COMP_WORDS[COMP_CWORD-1]}")
    [ -n "$words" ] || words=$(_ringwalk_words "$path")
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _ringwalk ringwalk ./ringwalk
"""
_ZSH: Final = """_ringwalk() {
    local path_ found
    path_=$(_ringwalk_path "${(@)words[2,CURRENT-1]}")
    found=$(_ringwalk_values "$path_ ${words[CURRENT-1]}")
    [ -n "$found" ] || found=$(_ringwalk_words "$path_")
    compadd -- ${=found}
    _files
}
if [ "$funcstack[1]" = _ringwalk ]; then  # a file of fpath: this is the first Tab already
    _ringwalk "$@"
else
    compdef _ringwalk ringwalk ./ringwalk
fi
"""
_FISH: Final = """function __ringwalk_complete
    set -l trail
    set -l before ''
    for word in (commandline -opc)[2..]
        set before $word
        string match -q -- '-*' $word; and continue
        test -n "$(__ringwalk_words "$(string join ' ' $trail $word)")"; and set -a trail $word
    end
    set -l found (__ringwalk_values "$(string join ' ' $trail) $before")
    test -n "$found"; or set found (__ringwalk_words "$(string join ' ' $trail)")
    string split -n ' ' -- $found
end
complete -c ringwalk -a '(__ringwalk_complete)'
"""


_CASE: Final = "        {}) echo {} ;;"
_SHELLS: Final = {
    "bash": (_LOOKUP, _BASH, _CASE),
    "zsh": (_LOOKUP, _ZSH, _CASE),
    "fish": (_FISH_LOOKUP, _FISH, "        case {}\n            echo {}"),
}
"""Of each shell: the lookups, what uses them, and one case of a lookup."""


@dataclass(slots=True)
class Words:
    """What can follow a run of subcommands, and the values of its options that have a choice."""

    path: tuple[str, ...]
    words: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    whole = importlib.import_module("lab.cli.main").parser()  # it imports us
    print(script(whole, args.shell), end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a shell's script for a parser."""
    cases: list[tuple[str, str]] = []
    values: list[tuple[str, str]] = []
    for one in walked(parser):
        cases.append((" ".join(one.path), " ".join(one.words)))
        for option, choices in one.values.items():
            values.append((" ".join((*one.path, option)), " ".join(choices)))
    lookup, rest, case = _SHELLS[shell]
    head = "#compdef ringwalk\n" if shell == "zsh" else ""
    told = [
        "\n".join(case.format(shlex.quote(key), shlex.quote(words)) for key, words in pairs)
        for pairs in (cases, values)
    ]
    return head + lookup.format(cases=told[0], values=told[1]) + rest


def walked(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Words]:
    """Yield the words of a parser and of all below it."""
    if isinstance(parser, PartParser):
        parser.declare()
    here, below = Words(path), []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            here.words += list(action.choices)
            below += [(name, one) for name, one in action.choices.items()]
            continue
        here.words += [option for option in action.option_strings if option.startswith("--")]
        choices = [str(one) for one in action.choices or ()]
        if not action.option_strings:
            here.words += choices
        elif choices:
            here.values |= dict.fromkeys(action.option_strings, choices)
    yield here
    for name, one in below:
        yield from walked(one, (*path, name))
