"""Broken LANs that overlook the part of an array that lies in device pages."""

from __future__ import annotations

from harness.broken.base import broken_host, broken_lguest
from harness.lans.lguest import Parts
from harness.lguest import dma
from harness.lguest.host import Host
from harness.lguest.launcher import HostNetwork
from harness.lguest.memory import Binding, GuestMemory


def _goes_on(memory: GuestMemory, array: int, index: int) -> bool:
    """Whether the array begins in normal memory, and this buffer of it ends elsewhere."""
    end = array + (index + 1) * dma.SIZE
    return array < memory.private_size < end


class _EndsWithNormalMemory(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        index = super().free_buffer(binding)
        memory = binding.guest.memory
        return None if index is not None and _goes_on(memory, binding.array, index) else index


class _LauncherEndsWithNormalMemory(HostNetwork):
    def first_free(self, array: int, count: int) -> int | None:
        index = super().first_free(array, count)
        memory = self.device.guest.memory
        return None if index is not None and _goes_on(memory, array, index) else index


BROKEN = (
    broken_host(
        "array-ends-with-normal-memory",
        "DMA-2",
        "buffers of an array that lie behind the end of normal memory are never free",
        _EndsWithNormalMemory,
    ),
    broken_lguest(
        "host-array-ends-with-normal-memory",
        "HST-3",
        "the Launcher takes no buffer that lies behind the end of normal memory",
        Parts(network=_LauncherEndsWithNormalMemory),
    ),
)
