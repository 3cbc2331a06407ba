"""`python -m agent_fuse`: the command line, where its script is not on the path."""

from agent_fuse.cli import main

if __name__ == "__main__":
    main()
