"""Ringwalk, installed: the one name that its wheel puts at the top of site-packages.

The rooms of the checkout (``device``, ``formats``, ``lab``, ``miniport``, ``ndis``, ``ntos``,
``protocols``) lie
in ``ringwalk/_rooms``. Importing this package makes them importable, for this process and for the Python
processes that it starts, before anything of the same name elsewhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOMS = Path(__file__).resolve().parent / "_rooms"

if (
    _ROOMS.is_dir() and str(_ROOMS) not in sys.path
):  # not there in a checkout, whose rooms are found as they are
    sys.path.insert(0, str(_ROOMS))
    os.environ["PYTHONSAFEPATH"] = "1"  # a program started in a folder with a lab.py must not find that
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOMS), *filter(None, [os.environ.get("PYTHONPATH")])])
