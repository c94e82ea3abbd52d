"""The Host: bound buffers, SEND_DMA, the copy between Guests (``io.c``).

The Host trusts nothing but bytes in Guest memory. It finds a receiver by key,
a free buffer by its ``used_len``, both ends of the copy by their section lists;
a Guest with a bad list is killed, and no other Guest is affected.

There are no threads: a Guest's step runs to its end, except that ``interleave``
is called at the points where another CPU could act.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from harness.lguest import dma
from harness.lguest.defects import AS_SHIPPED, Defects
from harness.lguest.dma import NO_LENGTH, USED_LEN
from harness.lguest.events import Copied, Event, Fault, Killed, Point
from harness.lguest.memory import (
    BadArray,
    BadList,
    Binding,
    Chunk,
    DevicePages,
    Key,
    LguestError,
    Owner,
)

MAX_BOUND = 32
"""LGUEST_MAX_DMA: arrays that one Guest may have bound (DMA-1)."""

IRQS = 32
"""LGUEST_IRQS (DMA-1)."""

STEP_NS = 1_000
"""Simulated time that each step takes: a microsecond."""

EPOCH_NS = 1_185_471_663_000_000_000
"""2007-07-26 17:41:03 UTC, the date of the original's documentation."""


class Host:
    """One Host and the Guests on it.

    ``corrupt`` is set when its lists of bound arrays are damaged: then it makes no further
    I/O (DEF-11). ``defects`` decides which bugs of 2.6.23 it has, ``start_ns`` when its simulated
    time begins, ``trace`` whether ``events`` holds every copy or only what Guests see.
    """

    def __init__(
        self,
        defects: Defects = AS_SHIPPED,
        *,
        start_ns: int = EPOCH_NS,
        trace: bool = False,
        interleave: Callable[[Point, Owner], None] | None = None,
    ) -> None:
        self.defects = defects
        self.now = start_ns
        self.trace = trace
        self.interleave = interleave
        self.events: list[Event] = []
        self.guests: dict[int, Owner] = {}
        self._keys: dict[object, dict[int, Key]] = {}
        self.tables: dict[int, list[Binding | None]] = {}
        self._freed: dict[int, dict[int, Binding]] = {}
        self.corrupt = False
        self._fills = 0

    # Guests

    def admit(self, guest: Owner) -> None:
        """A Guest begins to run, with an id that no other has."""
        if guest.id in self.guests:
            raise LguestError(f"there is a Guest {guest.id} already")
        if not 0 <= guest.id <= 0xFFFF:
            raise LguestError(f"Guest id {guest.id} does not fit in two bytes")
        self.guests[guest.id] = guest

    def recognise(self, pages: DevicePages) -> None:
        """Device pages of one file have the same keys, however often it is mapped."""
        if pages.identity is not None:
            pages.keys = self._keys.setdefault(pages.identity, pages.keys)

    def kill(self, guest: Owner, reason: str) -> None:
        """Kill a Guest; its buffers stay bound (DMA-9)."""
        if guest.dead is None:
            guest.dead = reason
            self.events.append(Killed(self.now, guest.id, reason))

    def release(self, guest: Owner) -> None:
        """A Guest's Launcher exited: all its buffers are unbound, and it runs no more."""
        if self.guests.get(guest.id) is not guest:
            return
        for binding in self.bound_by(guest):
            self.forget(binding)
        self._freed.pop(guest.id, None)
        del self.guests[guest.id]
        if guest.dead is None:
            guest.dead = "its Launcher exited"

    def close(self) -> None:
        """Every Launcher exits, and the Guests' memory is released."""
        for guest in list(self.guests.values()):
            self.release(guest)
            guest.memory.close()

    def tick(self) -> int:
        """Let one step's time pass; returns the new time in nanoseconds."""
        self.now += STEP_NS
        return self.now

    # Hypercalls

    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        """BIND_DMA: register an array, or with interrupt 0 unbind one (DMA-1)."""
        count &= 0xFFFF
        interrupt &= 0xFF
        if interrupt >= IRQS or self.corrupt:
            return False
        place = guest.memory.key(key)
        if place is None:
            self.kill(guest, f"bad dma key {key:#x}")
            return False
        if interrupt == 0:
            return self.unbind(guest, place, array)
        table = self.tables.setdefault(guest.id, [None] * MAX_BOUND)
        if None not in table:
            return False
        memory = guest.memory
        last = array + (count - 1) * dma.SIZE
        whole = array >= 0 and last <= memory.last_structure and not array % 4
        store, words = (memory.private, memory.words) if whole else (None, None)
        binding = Binding(guest, place, array, count, 1 << interrupt, store, words)
        binding.wraps = self.defects.cursor_has_16_bits and count > 0 and 65_536 % count > 0
        index = table.index(None)
        table[index] = binding
        self._freed.get(guest.id, {}).pop(index, None)
        # The newest binding of a key is searched first, as in the original's hash chains.
        place.bound.insert(0, binding)
        return True

    def bound_by(self, guest: Owner) -> list[Binding]:
        """The arrays that a Guest has bound, in the order of its table."""
        return [entry for entry in self.tables.get(guest.id, ()) if entry is not None]

    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        """Unbind the array with this key and address; false if none is bound (DEF-11)."""
        freed = self._freed.get(guest.id, {}) if self.defects.unbinds_free_entries else {}
        for index, entry in enumerate(self.tables.get(guest.id, ())):
            binding = entry or freed.get(index)
            if binding is None or binding.key is not key or binding.array != array:
                continue
            if entry is not None:
                self.forget(entry)
                return True
            text = f"array {array:#x} was unbound already: the Host's lists are corrupt"
            self.events.append(Fault(self.now, guest.id, "DEF-11", text))
            self.corrupt = True
            return False
        return False

    def forget(self, binding: Binding) -> None:
        """Take an array out of its Guest's table and off its key's list."""
        guest_id = binding.guest.id
        table = self.tables[guest_id]
        index = table.index(binding)
        table[index] = None
        self._freed.setdefault(guest_id, {})[index] = binding
        binding.key.bound.remove(binding)

    def send_dma(self, guest: Owner, key: int, address: int) -> None:
        """SEND_DMA: copy what the structure at ``address`` lists to whoever bound ``key``.

        The result is in Guest memory: the structure's ``used_len`` (DMA-2).
        """
        if self.corrupt:
            return
        route = guest.routes.get(key)
        if route is None:
            place = guest.memory.key(key)
            if place is None:
                self.kill(guest, "bad sending DMA key")
                return
            if not place.shared:
                if guest.launcher is not None:
                    guest.launcher(guest, key, address)
                return
            route = guest.routes[key] = place
        if self.try_send(guest, route, address):
            if self.interleave is not None:
                self.interleave(Point.RESTOCK, guest)
            if not self.corrupt:
                self.try_send(guest, route, address)

    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        """One try at SEND_DMA; true if the receiver had no free buffer (DMA-5).

        The receiver is the newest array that another Guest has bound (DMA-2, DLV-8).
        """
        for binding in key.bound:
            if binding.guest is not guest:
                return self.transfer(guest, binding, address)
        if self.trace:
            reason = "nobody has bound buffers to this slot"
            self.events.append(Copied(self.now, guest.id, key.offset, None, None, 0, reason))
        return False

    # The copy

    def free_buffer(self, binding: Binding) -> int | None:
        """Index of the first buffer from the cursor on whose ``used_len`` is 0 (DMA-2).

        None when none is free; BadArray when the search reaches a buffer that is outside
        its owner's memory.
        """
        words = binding.words
        if words is None:
            return self._free_buffer_outside(binding)
        cursor = binding.cursor
        if binding.count and not words[(binding.array + cursor * dma.SIZE) >> 2]:
            return cursor
        for index in chain(range(cursor + 1, binding.count), range(cursor)):
            if not words[(binding.array + index * dma.SIZE) >> 2]:
                return index
        return None

    def _free_buffer_outside(self, binding: Binding) -> int | None:
        """The same for an array that is not whole in normal memory."""
        memory = binding.guest.memory
        for index in chain(range(binding.cursor, binding.count), range(binding.cursor)):
            at = binding.array + index * dma.SIZE
            if not memory.address_ok(at, dma.SIZE):
                raise BadArray
            if memory.read(at, 4) == NO_LENGTH:
                return index
        return None

    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        """Copy into a binding's next free buffer; true if it has none."""
        receiver = binding.guest
        giving = sender.memory
        is_normal = 0 <= address <= giving.last_structure
        if is_normal:
            listed = giving.private[address + 4 : address + dma.SIZE]
        else:
            listed = self._read_list(sender, address)
        try:
            index = self.free_buffer(binding)
        except BadArray:
            self.kill(receiver, "bad address in registered DMA struct")
            if self.trace:
                why = "the receiver's array is outside its memory"
                self.record_copy(sender, binding, None, 0, why)
            return False
        if index is None:
            return self.no_buffer(sender, binding)
        at = binding.array + index * dma.SIZE
        taking = receiver.memory
        store = binding.store
        if store is not None:
            room = store[at + 4 : at + dma.SIZE]
        else:
            room = taking.read(at + 4, _LIST_BYTES)
        moved = 0
        reason = ""
        judged = receiver  # first, and alone (DMA-4)
        try:
            into = taking.checked.get(room) or taking.sections(room)
            judged = sender
            source = giving.checked.get(listed) or giving.sections(listed)
            moved = self.copy(source, into)
            if not moved and source:
                reason = "the receive buffer has no room"
        except BadList as bad:
            self.kill(judged, str(bad))
            # What an empty list gives is success all the same (DMA-6): the original asks
            # whether the copy failed only where there was something to copy.
            if dma.unpack(listed):
                who = "sender" if judged is sender else "receiver"
                reason = f"the {who}'s section list is bad"
        if self.interleave is not None:
            self.interleave(Point.COPIED, sender)
        if is_normal:
            _put_length(giving.private, address, moved)
        else:
            self.write_used_len(sender, address, moved)
        if not reason:
            if store is not None:
                _put_length(store, at, moved)
            else:
                self.write_used_len(receiver, at, moved)
            if moved and not self.defects.drains_from_slot_zero:
                self.note_fill(receiver, at)
            binding.advance()
            receiver.pending |= binding.interrupt_bit
        if self.trace:
            self.record_copy(sender, binding, index, moved, reason)
        return False

    def no_buffer(self, sender: Owner, binding: Binding) -> bool:
        """A full ring: the receiver is interrupted, and another try may help (DMA-5)."""
        self.interrupt(binding)
        if self.trace:
            self.record_copy(sender, binding, None, 0, "no free buffer")
        return True

    def _read_list(self, guest: Owner, address: int) -> bytes:
        """A sender's list; what cannot be read kills it and counts as empty (DMA-6)."""
        if guest.memory.address_ok(address, dma.SIZE):
            return guest.memory.read(address + 4, _LIST_BYTES)
        self.kill(guest, f"bad read address {address:#x} len {dma.SIZE}")
        return bytes(_LIST_BYTES)

    def write_used_len(self, guest: Owner, at: int, length: int) -> None:
        """Put a length into a structure's ``used_len``, if that is in the Guest's memory."""
        memory = guest.memory
        if 0 <= at <= memory.private_size - 4:
            _put_length(memory.private, at, length)
        elif memory.address_ok(at, 4):
            memory.write(at, USED_LEN.pack(length))

    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        """Copy until either side is exhausted; returns the bytes moved (DMA-3, DEF-1)."""
        forgets = self.defects.copy_forgets_source_offset
        if len(source) == 1 and len(into) == 1:
            giver, begin, length = source[0]
            taker, place, room = into[0]
            if room < length:
                length = room
            taker[place : place + length] = giver[begin : begin + length]
            return length
        total = taken = put = 0
        from_at = into_at = 0
        while from_at < len(source) and into_at < len(into):
            giver, start, have = source[from_at]
            taker, place, room = into[into_at]
            length = min(have - taken, room - put)
            begin = start if forgets else start + taken
            taker[place + put : place + put + length] = giver[begin : begin + length]
            total += length
            taken += length
            put += length
            if taken == have:
                from_at += 1
                taken = 0
            if put == room:
                into_at += 1
                put = 0
        return total

    def interrupt(self, binding: Binding) -> None:
        """Raise the interrupt that an array was bound with."""
        binding.guest.pending |= binding.interrupt_bit

    def note_fill(self, guest: Owner, at: int) -> None:
        """Number one more fill, of the structure there."""
        self._fills += 1
        guest.filled[at] = self._fills

    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        """The number of the last fill of each buffer, by which DEF-2 is mended.

        The original has no such call. A Guest cannot know the order by itself: empty
        DMAs move the Host's cursor and leave no trace in its memory. Which binding an array
        was filled through does not matter, nor whether it is bound still.
        """
        get = guest.filled.get
        return [get(at, 0) for at in range(array, array + count * dma.SIZE, dma.SIZE)]

    def binding(self, guest: Owner, key: int, array: int | None = None) -> Binding | None:
        """A Guest's newest binding of a key (of an array, if given)."""
        place = guest.memory.key(key)
        for binding in place.bound if place is not None else ():
            if binding.guest is guest and (array is None or array == binding.array):
                return binding
        return None

    def record_copy(
        self, sender: Owner, into: Binding, index: int | None, moved: int, why: str
    ) -> None:
        key = into.key.offset
        self.events.append(Copied(self.now, sender.id, key, into.guest.id, index, moved, why))


_put_length = USED_LEN.pack_into
_LIST_BYTES = dma.SIZE - 4
