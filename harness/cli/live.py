"""Commands that put traffic on a LAN: replay, join, serve."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import completion
from harness.cli.group import (
    AFTER_DASHES,
    EXIT_BAD_INPUT,
    Command,
    largest_option,
)
from harness.evidence.text import visible

if TYPE_CHECKING:
    from harness.lan import Lan


@click.command(cls=Command)
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--lan",
    "lans",
    multiple=True,
    required=True,
    metavar="LAN",
    shell_complete=completion.lans,
    help="May be given repeatedly.",
)
@click.option(
    "--map", "mapping", multiple=True, metavar="MAC=PORT", help="Which port a host is at."
)
@click.option("--timing", is_flag=True, help="Send frames as far apart as they were captured.")
@click.option("--partial", is_flag=True, help="Replay what can be read of a damaged capture.")
@click.option(
    "--addresses",
    type=click.Choice(["auto", "capture", "ports"]),
    default="auto",
    show_default=True,
    help="Keep the capture's Ethernet addresses, or give hosts those of their ports; auto does"
    " that on LANs that know their ports' addresses.",
)
@largest_option
@click.pass_context
def replay(
    context: click.Context,
    captures: tuple[Path, ...],
    lans: tuple[str, ...],
    mapping: tuple[str, ...],
    timing: bool,
    partial: bool,
    addresses: Any,
    largest: int,
) -> None:
    r"""Send captures (pcap, pcapng) through LANs, and judge every frame.

    Hosts are given to ports by the addresses that they send from. The model of the LAN's kind
    says who must receive each frame. Captures, results and the report go to reports/ in the
    current directory. What follows `--` goes to pytest; -v prints a verdict per frame. Exit
    code: 0 if all frames were delivered as expected, 1 if one was not, 2 if a capture cannot be
    read or replayed.

    \b
    Example:
      lguest-harness replay fixtures/captures/arp.pcap --lan lguest --lan bridge
      lguest-harness replay boot.pcapng --lan vde --timing --map 52:54:00:12:34:56=2 -- -v
    """
    from harness import registry
    from harness import replay as replaying
    from harness.evidence.reader import BadCapture
    from harness.lan import LanError
    from harness.suite import replay as suite

    try:
        for entry in registry.entries(lans).values():
            if why_not := entry.missing():
                raise LanError(f"{entry.name} cannot run here: {why_not}")
        ports = replaying.parsed_map(mapping)
        contents = {path: replaying.load(path, partial, largest) for path in captures}
    except (BadCapture, LanError) as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)
    for read in contents.values():
        if read.problems:
            click.echo(visible(f"{read.path}: {'; '.join(read.problems)}"), err=True)
    more = context.meta.get(AFTER_DASHES, ())
    sys.exit(suite.run(contents, lans, more, ports=ports, addresses=addresses, timing=timing))


_capture = click.option(
    "--capture", type=click.Path(path_type=Path), help="Write a pcapng file of all ports."
)


_fault = click.option(
    "--fault",
    metavar="FAULTS",
    default="",
    help="Harm frames at every port, as in loss=1%,duplicate=0.5%,corrupt=1%,seed=7.",
)


def _use_lan(spec: str, work: Callable[[Lan], int]) -> None:
    """Make a LAN, work with it, and end as the work says; 2 if it cannot be done."""
    from harness import registry
    from harness.lan import LanError

    try:
        entry = registry.entry(spec)
        if why_not := entry.missing():
            raise LanError(f"{spec} cannot run here: {why_not}")
        lan = entry.make()
        try:
            code = work(lan)
        finally:
            lan.close()
    except LanError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)
    sys.exit(code)


@click.command(cls=Command)
@click.argument("lan", shell_complete=completion.lans)
@click.option(
    "--tap",
    "taps",
    multiple=True,
    required=True,
    metavar="[NETNS/]NAME[=ADDRESS/PREFIX]",
    help="Put the next port on a TAP; may be given repeatedly.",
)
@click.option("--netns", metavar="NETNS", default="", help="Where TAPs are that name none.")
@click.option(
    "--answer",
    "answering",
    multiple=True,
    metavar="ADDRESS",
    help="Let the next port answer ARP and ping at an IPv4 address; may be given repeatedly.",
)
@click.option("--mac", default="", help="Address of the first TAP, if not its port's own.")
@click.option("--mtu", type=click.IntRange(min=68, max=65_521), help="MTU of the TAPs.")
@_capture
@_fault
@click.pass_context
def join(
    context: click.Context,
    lan: str,
    taps: tuple[str, ...],
    netns: str,
    answering: tuple[str, ...],
    mac: str,
    mtu: int | None,
    capture: Path | None,
    fault: str,
) -> None:
    r"""Join a kernel to a LAN: ports become TAPs, for ping, tcpdump and every other program.

    What follows `--` is run when all is ready, and ends it; otherwise Ctrl-C does. Exit code: 0,
    or that of the command that was run, or 2 if the LAN or a TAP cannot be made.
    `ip netns add red` makes the namespace of the examples.

    \b
    Example:
      lguest-harness join lguest --tap red/tap0=10.0.0.1/24 --answer 10.0.0.2 \\
        --capture ping.pcapng -- ip netns exec red ping -c 3 10.0.0.2
      lguest-harness join vde --tap red/tap0=10.0.0.1/24 --tap blue/tap0=10.0.0.2/24
    """
    from harness.live import commands

    def work(made: Lan) -> int:
        own = bytes.fromhex(mac.replace(":", "")) if mac else None
        if own is not None and len(own) != 6:
            raise ValueError
        return commands.join(
            made,
            [commands.parsed_tap(text, netns) for text in taps],
            answering,
            commands.use(capture, fault, context.meta.get(AFTER_DASHES, ())),
            _say,
            mac=own,
            mtu=mtu,
        )

    try:
        _use_lan(lan, work)
    except ValueError:
        click.echo(f"--mac {mac}: should be an address like 02:00:00:00:00:01", err=True)
        sys.exit(EXIT_BAD_INPUT)


def _say(line: str) -> None:
    click.echo(visible(line), err=True)


@click.command(cls=Command)
@click.argument("lan", shell_complete=completion.lans)
@click.option(
    "--stream", metavar="ADDRESS", default="", help="A socket that takes a connection per port."
)
@click.option(
    "--dgram",
    "datagrams",
    multiple=True,
    metavar="LOCAL,REMOTE",
    help="A port on a pair of datagram sockets; may be given repeatedly.",
)
@click.option(
    "--ports",
    "count",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="How many may connect to --stream.",
)
@click.option(
    "--promiscuous", is_flag=True, help="All ports get every frame, whatever their host's address."
)
@_capture
@_fault
@click.pass_context
def serve(
    context: click.Context,
    lan: str,
    stream: str,
    datagrams: tuple[str, ...],
    count: int,
    promiscuous: bool,
    capture: Path | None,
    fault: str,
) -> None:
    r"""Offer the ports of a LAN to QEMU and others, on stream and datagram sockets.

    A stream has QEMU's framing, a length of four bytes before each frame; an address is the path
    of a Unix socket or HOST:PORT. A port on lguest gets unicasts to its own address, which is
    printed when it is connected; `--promiscuous` is for hosts with others. What follows `--` is
    run when all is ready, and ends it. Exit code: 0, or that of the command that was run, or 2
    if the LAN or a socket cannot be made.

    \b
    Example:
      lguest-harness serve lguest --stream lan.sock --capture two.pcapng
      qemu-system-x86_64 -netdev stream,id=n,server=off,addr.type=unix,addr.path=lan.sock \\
        -device virtio-net-pci,netdev=n,mac=02:00:01:00:00:00
    """
    from harness.live import commands

    if not (stream or datagrams):
        raise click.UsageError("needs --stream or --dgram")
    _use_lan(
        lan,
        lambda made: commands.serve(
            made,
            stream,
            datagrams,
            count,
            commands.use(capture, fault, context.meta.get(AFTER_DASHES, ())),
            _say,
            promiscuous=promiscuous,
        ),
    )
