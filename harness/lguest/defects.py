"""The known defects of Linux 2.6.23's lguest network, one switch per defect.

``AS_SHIPPED`` has them all, ``REPAIRED`` none. Two of them are memory corruption
in the original: there both variants refuse with a clear error, and the switch
only decides whether the error speaks of the defect.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defects:
    """Which defects a simulated LAN has."""

    copy_forgets_source_offset: bool
    """DEF-1: a destination section that ends inside a source section sends the copy
    back to that source section's start. Mended: the offset is added."""

    drains_from_slot_zero: bool
    """DEF-2: the Host fills from a cursor, the Guest drains from slot 0, so a batch
    that wraps round the ring is out of order. Mended: the Host numbers its fills and
    the Guest drains by that number."""

    overwrites_full_ring: bool
    """DEF-3: with all buffers full the Launcher gets the last one again. Mended:
    the frame waits in the TAP."""

    overruns_section_list: bool
    """DEF-4: more than sixteen linear sections run past the end of the structure.
    Refused by both variants."""

    mask_swallows_features: bool
    """DEF-5: from eight device pages on, the mask for the peer number covers feature
    bits. Refused by both variants."""

    handler_survives_close: bool
    """DEF-6: the interrupt handler stays registered after close and touches freed
    buffers (here a Fault event). Mended: a closed device's handler does nothing."""

    leaves_ghosts: bool
    """DEF-7: addresses stay published after a failed open or a death. Mended: a failed
    open unpublishes, whoever takes a slot clears it, a Launcher that ends clears its own."""

    failed_refill_leaves_hole: bool
    """DEF-8: a slot whose refill failed has no buffer and looks used; the next interrupt
    follows a null pointer (here a Fault event). Mended: the old buffer is put back and
    that frame dropped."""

    refuses_end_of_memory: bool
    """DEF-9: the Host refuses a section or a structure that ends exactly where the Guest's
    memory ends. Mended: it is accepted."""

    cursor_has_16_bits: bool
    """DEF-10: the cursor counts transfers in 16 bits, and the buffer is that modulo the
    array's count, so after 65,536 transfers it jumps back to buffer 0 wherever it was.
    Mended: the cursor is kept modulo the count."""

    unbinds_free_entries: bool
    """DEF-11: the search for the array to unbind looks at free entries too. What it finds
    there is taken off the Host's lists a second time, which corrupts them (here a Fault
    event, after which the Host makes no further I/O). Mended: free entries are passed over."""

    locks_belong_to_process: bool
    """DEF-12: a Launcher that is given one network file twice takes one slot for both
    devices, as its own lock does not stop it. Mended: the second device gets the next free
    slot."""


AS_SHIPPED = Defects(True, True, True, True, True, True, True, True, True, True, True, True)
"""lguest as in Linux 2.6.23."""

REPAIRED = Defects(
    False, False, False, False, False, False, False, False, False, False, False, False
)
"""lguest with every known defect mended."""
