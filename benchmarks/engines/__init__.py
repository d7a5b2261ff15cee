"""One file an engine: ``load(path, threads, options)`` gives something whose calls can be timed; after
``ready()`` the engine itself is in memory, and what a model adds can be measured.

Each runs in a worker of the environment that has it, so none is imported here.
"""
