"""The lguest LAN of Linux 2.6.23, simulated to the byte of Guest memory.

It knows nothing of the rest of the harness. Start reading at ``driver``, the Guest's
side, and go on to ``host``, which it calls.
"""
