"""One file an engine: ``load(path, threads, options)`` gives something whose calls can be timed.

Each runs in a worker of the environment that has it, so none is imported here.
"""
