"""A module with nothing but a service: prints how many milliseconds `run()` takes."""

from time import perf_counter

import ironbridge.bridge as meta


@meta.create("bench-empty").daemon()
class Empty:
    """Serves one endpoint."""

    @meta.function
    def nothing(self) -> None:
        """Does nothing."""


before = perf_counter()
handle = meta.run()

if __name__ == "__main__":
    print((perf_counter() - before) * 1000)
    handle.stop()
