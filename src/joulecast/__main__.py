"""``python -m joulecast``: the command line."""

from joulecast.cli import main

if __name__ == "__main__":
    main()
