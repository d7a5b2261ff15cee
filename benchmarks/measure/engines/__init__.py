"""One file an engine: ``load(path, threads, options)`` returns something whose calls can be timed; after ``ready()``
the engine itself is in memory, so that what a model adds can be measured.

Each runs in a process of the environment that has it, so none is imported here.
"""
