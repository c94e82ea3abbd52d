"""Broken LANs of all kinds: many ports, bursts and long runs (MANY, LOAD)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    Alters,
    Doubles,
    Leaks,
    Loses,
    LosesEntering,
    OverQueue,
    Reorders,
    broken_memory,
)
from harness.lans.memory import (
    MemoryDirectory,
    MemoryLan,
    MemoryLearning,
    MemoryPort,
    MemoryRepeater,
    is_group,
)


class _NinthGetsNoUnicast(Loses, MemoryDirectory):
    """ligato/vpp-agent 1758."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port.number > 8 and not is_group(frame)


class _LearnsOnSixteen(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if sender.number <= 16:
            super().learn(sender, frame)


class _FourBits(MemoryLearning):
    """The number of a learned port has four bits."""

    def look_up(self, destination: bytes) -> MemoryPort | None:
        known = self.table.get(destination)
        return known and self.made[(known.number - 1) % 16]


class _NoUnicastToNeighbour(Loses, MemoryRepeater):
    def begin(self) -> None:
        super().begin()
        self.sender = 0

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        self.sender = sender.number
        super().relay(sender, frame)

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return not is_group(frame) and port.number == self.sender + 12


class _BroadcastToSixteen(Loses, MemoryLearning):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port.number > 16 and is_group(frame)


class _BroadcastFromNinth(LosesEntering, MemoryRepeater):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port.number > 8 and is_group(frame)


class _BroadcastDoubledAt(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return port.number == 17 and is_group(frame)


class _Queue(MemoryLan):
    """A shorter queue than declared."""

    room = 32

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port.queue < self.room:
            super().pass_to(port, frame)


class _QueueOf32(_Queue, MemoryRepeater):
    room = 32


class _QueueOf63(_Queue, MemoryDirectory):
    room = 63


class _QueueOf16Long(MemoryLearning):
    """Buffers of 16 kB in all: frames of 1,514 bytes fill them after eleven."""

    def begin(self) -> None:
        super().begin()
        self.bytes_waiting = 0

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        self.bytes_waiting += len(frame)
        if self.bytes_waiting <= 16_384 or self.bytes_waiting == len(frame):
            super().pass_to(port, frame)

    def settle(self) -> None:
        super().settle()
        self.bytes_waiting = 0


class _DoublesThe33rd(Doubles, MemoryRepeater):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return port.queue == 33


class _SwapsBatches(Reorders, MemoryLearning):
    def in_order(self, frames: list[bytes]) -> list[bytes]:
        return frames[32:] + frames[:32] if len(frames) > 32 else frames


class _HalfDuplex(MemoryDirectory):
    """Frames of two ports in turn collide: the second is lost."""

    def begin(self) -> None:
        self.turns = 0
        self.last: MemoryPort | None = None

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.turns += self.last not in (None, port)
        self.last = port
        return () if self.turns > 16 and self.turns % 8 == 0 else super().enter(port, frame)

    def settle(self) -> None:
        super().settle()
        self.turns, self.last = 0, None


class _OneQueueForAll(MemoryRepeater):
    """A queue of 64 for the whole LAN, as QEMU's hub without queues per port."""

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if sum(other.queue for other in self.made) < 2 * self.traits.burst:
            super().pass_to(port, frame)


class _Ring256(Alters, MemoryRepeater):
    """luigirizzo/netmap 69: the buffer of the frame before, after 256 frames."""

    def begin(self) -> None:
        super().begin()
        self.old: dict[int, bytes] = {}

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        old = self.old.get(port.number, b"")
        self.old[port.number] = frame
        fresh = self.left[port.number] <= 256
        return frame if fresh else (old + frame)[: len(frame)]


class _Hangs32767(LosesEntering, MemoryRepeater):
    """Mellvik/TLVC 202."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.entered[port.number] > 32_767


class _Hangs1024(Loses, MemoryLearning):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] > 1_024


class _LosesThe65536th(Loses, MemoryDirectory):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 65_536 == 0


class _LosesOneIn200(Loses, MemoryDirectory):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 200 == 0


class _DoublesThe4096th(Doubles, MemoryRepeater):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 4_096 == 0


class _FloodsAfter512(Leaks, MemoryLearning):
    """A counter of nine bits wraps, and the lookup fails open for that frame."""

    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return self.entered[sender.number] % 512 == 0 and self.table.get(frame[:6]) is not sender


class _AltersThe256th(Alters, MemoryDirectory):
    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        wraps = self.left[port.number] % 256 == 0
        return frame[:-1] + bytes((frame[-1] ^ 0x80,)) if wraps else frame


class _DeafAfterFull(OverQueue, MemoryRepeater):
    """firecracker-microvm/firecracker 2057."""

    def begin(self) -> None:
        self.deaf: set[MemoryPort] = set()

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port not in self.deaf:
            super().pass_to(port, frame)

    def over(self, port: MemoryPort, frame: bytes) -> None:
        self.deaf.add(port)


class _FullCutsTheRest(OverQueue, MemoryRepeater):
    """What finds no room is written over what is there: only a head of it arrives."""

    def over(self, port: MemoryPort, frame: bytes) -> None:
        if port.queue == self.limit:
            port.queue += 1
            port.deliver(frame[: len(frame) // 2])


class _FullToTheNext(OverQueue, MemoryDirectory):
    """What finds no room goes to the next port."""

    def over(self, port: MemoryPort, frame: bytes) -> None:
        other = self.made[port.number % len(self.made)]
        if other.up and not is_group(frame) and other.mac != frame[6:12]:
            other.deliver(frame)


class _FullDoublesLast(OverQueue, MemoryDirectory):
    """The last place of a full queue is read twice."""

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        last = port.queue == self.limit - 1
        super().pass_to(port, frame)
        if last:
            port.deliver(frame)


class _FullForgets(OverQueue, MemoryLearning):
    """A full queue resets the port, and its addresses lead nowhere."""

    def begin(self) -> None:
        super().begin()
        self.reset: set[MemoryPort] = set()

    def over(self, port: MemoryPort, frame: bytes) -> None:
        self.reset.add(port)

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        return targets if is_group(frame) else [p for p in targets if p not in self.reset]


class _FullDelaysOne(OverQueue, MemoryLearning):
    """One frame that finds no room waits, and arrives with the next exchange."""

    def begin(self) -> None:
        super().begin()
        self.waiting: dict[MemoryPort, bytes] = {}

    def over(self, port: MemoryPort, frame: bytes) -> None:
        self.waiting[port] = frame

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port.queue == 0 and port in self.waiting:
            port.deliver(self.waiting.pop(port))
        super().pass_to(port, frame)


BROKEN = (
    broken_memory(
        "directory-ninth-gets-no-unicast",
        "MANY-1",
        "ports from the ninth on get no unicast (vpp-agent 1758)",
        _NinthGetsNoUnicast,
    ),
    broken_memory(
        "bridge-learns-on-sixteen-ports",
        "MANY-1",
        "addresses are learned at 16 ports alone",
        _LearnsOnSixteen,
    ),
    broken_memory(
        "bridge-port-number-of-four-bits",
        "MANY-1",
        "from the 17th on a learned port is another",
        _FourBits,
    ),
    broken_memory(
        "hub-no-unicast-twelve-on",
        "MANY-1",
        "unicasts to the twelfth port behind are lost",
        _NoUnicastToNeighbour,
    ),
    broken_memory(
        "bridge-broadcast-to-sixteen",
        "MANY-2",
        "broadcasts reach sixteen ports at most",
        _BroadcastToSixteen,
    ),
    broken_memory(
        "hub-no-broadcast-from-ninth",
        "MANY-2",
        "broadcasts of ports from the ninth on are lost",
        _BroadcastFromNinth,
    ),
    broken_memory(
        "directory-broadcast-twice-at-17",
        "MANY-2",
        "broadcasts reach port 17 twice",
        _BroadcastDoubledAt,
    ),
    broken_memory("hub-queue-of-32", "LOAD-1", "32 frames fit a queue, not 64", _QueueOf32),
    broken_memory("directory-queue-of-63", "LOAD-1", "63 frames fit a queue, not 64", _QueueOf63),
    broken_memory(
        "bridge-queue-of-16-kb",
        "LOAD-1",
        "16,384 bytes may be waiting at all ports together",
        _QueueOf16Long,
    ),
    broken_memory(
        "hub-doubles-the-33rd",
        "LOAD-1",
        "the 33rd frame of a burst arrives twice",
        _DoublesThe33rd,
    ),
    broken_memory(
        "bridge-swaps-batches",
        "LOAD-1",
        "the second 32 frames of a burst leave first",
        _SwapsBatches,
    ),
    broken_memory(
        "directory-half-duplex",
        "LOAD-2",
        "frames of two ports in turn collide now and then",
        _HalfDuplex,
    ),
    broken_memory(
        "hub-one-queue-for-all",
        "LOAD-2",
        "all ports together have one queue of 128",
        _OneQueueForAll,
    ),
    broken_memory(
        "hub-ring-of-256",
        "LOAD-3",
        "after 256 frames the one before arrives (netmap 69)",
        _Ring256,
    ),
    broken_memory(
        "hub-hangs-after-32767",
        "LOAD-3",
        "a port sends 32,767 frames, and no more (TLVC 202)",
        _Hangs32767,
    ),
    broken_memory(
        "bridge-hangs-after-1024",
        "LOAD-3",
        "a port receives 1,024 frames, and no more",
        _Hangs1024,
    ),
    broken_memory(
        "directory-loses-the-65536th",
        "LOAD-3",
        "every 65,536th frame at a port is lost",
        _LosesThe65536th,
    ),
    broken_memory(
        "directory-loses-one-in-200",
        "LOAD-3",
        "every 200th frame at a port is lost",
        _LosesOneIn200,
    ),
    broken_memory(
        "hub-doubles-the-4096th",
        "LOAD-3",
        "every 4,096th frame at a port arrives twice",
        _DoublesThe4096th,
    ),
    broken_memory(
        "bridge-floods-every-512th",
        "LOAD-3",
        "every 512th frame of a port is flooded",
        _FloodsAfter512,
    ),
    broken_memory(
        "directory-alters-the-256th",
        "LOAD-3",
        "every 256th frame at a port has a bit turned",
        _AltersThe256th,
    ),
    broken_memory(
        "hub-deaf-after-full-queue",
        "LOAD-4",
        "a port is deaf once its queue was full (firecracker 2057)",
        _DeafAfterFull,
    ),
    broken_memory(
        "hub-full-queue-cuts",
        "LOAD-4",
        "half of the first frame too many arrives",
        _FullCutsTheRest,
    ),
    broken_memory(
        "directory-full-queue-to-the-next",
        "LOAD-4",
        "frames too many go to the next port",
        _FullToTheNext,
    ),
    broken_memory(
        "directory-full-queue-doubles",
        "LOAD-4",
        "the frame that fills a queue arrives twice",
        _FullDoublesLast,
    ),
    broken_memory(
        "bridge-full-queue-no-unicast",
        "LOAD-4",
        "a port gets no unicast once its queue was full",
        _FullForgets,
    ),
    broken_memory(
        "bridge-full-queue-delays",
        "LOAD-4",
        "the last frame too many arrives with later ones",
        _FullDelaysOne,
    ),
)
