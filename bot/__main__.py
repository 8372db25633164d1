"""`emf` and `python -m bot`. Worker processes import this module again: keep it light."""


def main() -> None:
    from bot.cli import run

    run()


if __name__ == "__main__":
    main()
