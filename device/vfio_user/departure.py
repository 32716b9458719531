"""One client's failure is that client's alone: its end, step by step. Knows no client.

Whatever was raised while a client was served is told with its trace, and the client is detached. Each step of
that is done, also when one before it failed. This is the one place where any exception is taken: a bug that a
client can reach would else be its way to end the server for everybody.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def tell(failure: BaseException) -> str:
    """Print a failure with its trace on standard error; return it in one line."""
    print("ringwalk: a client failed, and is closed:", file=sys.stderr)  # noqa: T201 - nobody else may be listening
    traceback.print_exception(failure, file=sys.stderr)
    sys.stderr.flush()
    return f"{type(failure).__name__}: {failure}"


def attempt(step: Callable[[], object]) -> bool:
    """Do a step of a client's detaching; tell what it raised. Tell whether it was done."""
    try:
        step()
    except Exception as failure:  # noqa: BLE001 - see above
        tell(failure)
        return False
    return True
