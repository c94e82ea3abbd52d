"""Proves that a virtual LAN delivers frames as it should.

A frame goes into a LAN; what every port received comes out; a rule says who should
have; a capture shows it. ``frames``, ``lan``, ``exchange``, ``rules`` and ``capture``
are those five; ``lguest`` is the simulated LAN that they were first made for.
"""

__version__ = "0.1.0"
