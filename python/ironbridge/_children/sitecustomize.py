"""Imported by Python at its start where `PYTHONPATH` leads here: in what a program starts that runs under
`ironbridge.compat`, such as the workers of a server."""

import os
import sys

_own = sys.modules.pop(__name__)
_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [one for one in sys.path if os.path.abspath(one or os.curdir) != _here]
try:
    # Who has one of these has it still.
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
except ImportError:
    pass
sys.modules.setdefault(__name__, _own)

try:
    from ironbridge.compat import install
except ImportError:
    pass  # another Python, which has other packages
else:
    install()
