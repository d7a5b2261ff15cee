"""What the commands that run image classifiers, or any file, need to know of a file's inputs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bittern.runtime import Engine, IsolatedEngine
    from bittern.runtime.arguments import Array


def check_takes_images(engine: "Engine | IsolatedEngine", purpose: str) -> None:
    """Raises ValueError if the file is no network from one batch of float images to one tensor."""
    signature = engine.signature
    if not signature.is_single:
        inputs = ", ".join(spec.name for spec in signature.inputs)
        raise ValueError(
            f"{engine.path} takes {', '.join(map(str, signature.inputs))} and gives "
            f"{', '.join(map(str, signature.outputs))}: {purpose}, bittern.runtime.load({str(engine.path)!r})({inputs})"
        )


def random_inputs(engine: "Engine") -> "tuple[Array, ...]":
    """A whole batch of noise; of integers zeros, as files do not say which others are valid."""
    import numpy as np

    random = np.random.default_rng(0)
    return tuple(
        random.standard_normal(spec.shape, np.float32) if spec.dtype == "float32" else np.zeros(spec.shape, spec.dtype)
        for spec in engine.signature.inputs
    )
