"""The processes that train one network together."""

import os


def world_size() -> int:
    """Processes of ``torch.distributed``'s group; 1 without one."""
    from torch import distributed

    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one of its group that writes files and reports."""
    from torch import distributed

    return world_size() == 1 or distributed.get_rank() == 0


def launched() -> tuple[int, int]:
    """(rank, world size) that this process has or, as ``torchrun`` says, will have once its group is initialized."""
    from torch import distributed

    if world_size() > 1:
        return distributed.get_rank(), world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
