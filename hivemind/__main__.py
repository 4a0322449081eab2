"""``python -m hivemind``."""

from hivemind.cli.main import main

if __name__ == "__main__":
    main()
