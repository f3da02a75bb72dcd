"""Several processes that train one network, as torchrun starts them; or one alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and the device that it must use, where there are several."""

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def alone(cls) -> Ranks:
        """One process."""
        return cls()

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Ranks:
        """What torchrun says (RANK, WORLD_SIZE, LOCAL_RANK), the processes introduced to each other."""
        count = int(environment.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls.alone()
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(environment.get("LOCAL_RANK", "0"))) if cuda else None
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(int(environment["RANK"]), count, device)

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """The network to call in a step, whose gradients are averaged over all processes."""
        if self.count == 1:
            return network
        shared: nn.Module = nn.parallel.DistributedDataParallel(network)
        return shared

    def gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of all processes, `RANK:` before the names of all but the first's."""
        if self.count == 1:
            return dict(tensors)
        every: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(every, {name: value.cpu() for name, value in tensors.items()})
        return {
            f"{rank}:{name}" if rank else name: value
            for rank, its in enumerate(every)
            for name, value in its.items()
        }

    def own(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This process's part of what `gathered` gave."""
        if not self.rank:
            return {name: value for name, value in tensors.items() if ":" not in name}
        begin = f"{self.rank}:"
        return {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}

    def agreed(self, number: int) -> int:
        """The first process's number, everywhere."""
        if self.count == 1:
            return number
        said: list[Any] = [number]
        torch.distributed.broadcast_object_list(said)
        return int(said[0])
