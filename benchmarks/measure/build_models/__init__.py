"""One file a format: ``build(subject, path)`` writes the model file of a layer or a network.

A subject is a dictionary: ``form`` is the variant, and either ``layer`` has the fields of a `measure.layers.LayerCase`
or ``network`` a name of `measure.networks`.
"""
