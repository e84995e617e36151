"""`python -m ironbridge.cli` is the command `ironbridge`."""

from ironbridge.cli import main

if __name__ == "__main__":
    main()
