"""One file a format: ``build(subject, path)`` writes the model file of a layer or a network.

A subject is a dictionary: ``form`` says which variant, ``layer`` holds a `benchmarks.layers.Layer`, or ``network`` a
name of `benchmarks.networks`.
"""
