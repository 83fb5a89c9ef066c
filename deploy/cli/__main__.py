"""`python -m deploy.cli`: the same as `callgrant`; the supervisor starts its processes this way."""

from deploy.cli.main import main

if __name__ == "__main__":
    main()
