"""The command ``lguest-harness``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness.cli import completion
from harness.evidence.answer import Answer
from harness.evidence.files import LARGEST, BadFile
from harness.evidence.text import visible

if TYPE_CHECKING:
    from harness.lan import Lan

EXIT_DISAGREES = 1
EXIT_BAD_INPUT = 2

_RESULTS = click.Path(path_type=Path)


_largest = click.option(
    "--largest",
    metavar="BYTES",
    type=click.IntRange(min=1),
    default=LARGEST,
    show_default=True,
    help="Refuse files that are larger.",
)


_send_on = click.option(
    "--yes-send-on",
    "send_on",
    metavar="IF",
    multiple=True,
    help="Send frames on this interface although it carries a default route.",
)


def _finish(answer: Answer) -> None:
    for line in answer.errors:
        click.echo(visible(line), err=True)
    for line in answer.lines:
        click.echo(visible(line))
    sys.exit(answer.code)


def _unwrapped(text: str | None) -> str | None:
    r"""Help whose lines after a ``\b`` click leaves as they are: a docstring has it in letters."""
    return text and text.replace("\\b\n", "\b\n")


_AFTER_DASHES = "harness.after-dashes"
_TAKE_DASHES = frozenset({"run", "replay", "join", "serve"})
"""Commands that send on what follows `--`."""


class _Command(click.Command):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _unwrapped(self.help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.name in _TAKE_DASHES and "--" in args:
            at = args.index("--")
            ctx.meta[_AFTER_DASHES] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


class _Group(click.Group):
    command_class = _Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _unwrapped(self.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lguest-harness")
def main() -> None:
    r"""Test whether a virtual LAN delivers Ethernet frames correctly.

    Exit codes: 0 if all is well; 1 if what a command looked at is not; 2 if it could not look,
    because input is missing or damaged or the command line is wrong.

    \b
    Example:
      lguest-harness run bridge
      lguest-harness COMMAND --help
      eval "$(_LGUEST_HARNESS_COMPLETE=bash_source lguest-harness)"    # completion, in bash
    """


@main.command()
@click.argument("lans", nargs=-1, required=True, shell_complete=completion.lans)
@click.option("--quick", is_flag=True, help="Run one test of each rule: seconds, and less proof.")
@_send_on
@click.pass_context
def run(
    context: click.Context, lans: tuple[str, ...], quick: bool, send_on: tuple[str, ...]
) -> None:
    r"""Run the conformance suite on LANs. What follows `--` goes to pytest.

    A LAN is NAME, SPEC or NAME=SPEC; `lguest-harness lans` lists them. Captures, results and
    the report go to reports/ in the current directory. Exit code: 2 if a LAN is unknown, cannot
    run here or is in use; else pytest's own: 0 if every test passed, 1 if one did not, 2 if the
    run was interrupted, 4 for a wrong option.

    \b
    Example:
      lguest-harness run lguest -- -n auto
      lguest-harness run bridge --quick
      lguest-harness run old=command:./switch-1 new=command:./switch-2 -- -k unicast
    """
    from harness import registry
    from harness.lan import LanError
    from harness.plugin import shared
    from harness.suite.run import run as run_suite

    options = ["--quick"] if quick else []
    more = [
        *options,
        *(f"--yes-send-on={name}" for name in send_on),
        *context.meta.get(_AFTER_DASHES, ()),
    ]
    given = [option.partition("=")[2] for option in more if option.startswith("--yes-send-on=")]
    try:
        rows = registry.entries(lans, given)
        for row in rows.values():
            if row.user and (why_not := row.missing()):
                raise LanError(f"{row.name} cannot run here: {why_not}")
        with shared.held(rows.values()):
            pass
    except LanError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)
    sys.exit(run_suite(lans, more))


@main.command()
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
@_largest
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
    more = context.meta.get(_AFTER_DASHES, ())
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


@main.command()
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
            commands.use(capture, fault, context.meta.get(_AFTER_DASHES, ())),
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


@main.command()
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
            commands.use(capture, fault, context.meta.get(_AFTER_DASHES, ())),
            _say,
            promiscuous=promiscuous,
        ),
    )


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_largest
def play(files: tuple[Path, ...], largest: int) -> None:
    r"""Play recordings of the original driver on the simulated `lguest` LAN.

    Prints a line per disagreement. Exit code: 0 if all agree, 1 if any differs, 2 if a
    file could not be read as recordings (the others are played all the same).

    \b
    Example:
      lguest-harness play fixtures/recorded/*.jsonl
    """
    from harness.suite import recordings

    agree = differ = bad = 0
    for path in files:
        try:
            for number, scenario in recordings.scenarios(path, largest):
                try:
                    found = recordings.play(scenario)
                except recordings.BadRecording as error:
                    bad += 1
                    click.echo(visible(f"{path}:{number}: {error}"), err=True)
                    continue
                for difference in found:
                    click.echo(visible(str(difference)))
                differ += bool(found)
                agree += not found
        except BadFile as error:
            bad += 1
            click.echo(visible(str(error)), err=True)
        except OSError as error:
            bad += 1
            click.echo(visible(f"{path}: {error.strerror}"), err=True)
    click.echo(f"{agree} scenarios agree, {differ} differ")
    sys.exit(EXIT_BAD_INPUT if bad else EXIT_DISAGREES if differ else 0)


@main.command()
@click.option("--broken", is_flag=True, help="List the deliberately broken LANs too.")
def lans(broken: bool) -> None:
    r"""List the LANs that can be put under test. Exit code: 0.

    \b
    Example:
      lguest-harness lans
    """
    from harness import registry
    from harness.broken.catalogue import BROKEN

    for entry in registry.LANS.values():
        version = entry.version()
        click.echo(f"{entry.name:<22}  {entry.summary}" + (f"  [{version}]" if version else ""))
        why_not = entry.missing()
        if why_not is not None:
            click.echo(f"{'':<22}  cannot run here: {why_not}")
    for form in registry.FORMS:
        click.echo(f"{form.shape:<22}  {form.summary}")
    click.echo(f"{registry.FILE_SHAPE:<22}  {registry.FILE_SUMMARY}")
    if not broken:
        click.echo(f"{'broken:NAME':<22}  {len(BROKEN)} deliberately broken LANs; list: --broken")
        return
    for name, row in BROKEN.items():
        click.echo(f"{registry.BROKEN_PREFIX + name:<44}  {row.rule}: {row.what}")


@main.command()
@click.argument("lan", shell_complete=completion.lans)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draft a LAN file there.")
@_send_on
def probe(lan: str, output: Path | None, send_on: tuple[str, ...]) -> None:
    r"""Find out what a LAN is by sending frames, and compare that with what it declares.

    Prints a line per property: what was found, what the LAN declares, and the evidence. With -o
    it drafts a LAN file that declares what was found, with the evidence in comments, for
    `lguest-harness run`. Exit code: 0 if nothing contradicts, or the file is complete; 1 if
    something contradicts, or is unclear; 2 if the LAN cannot be started, or the file written.

    \b
    Example:
      lguest-harness probe bridge
      lguest-harness probe command:./mylan -o mylan.toml
    """
    from harness import registry
    from harness.lan import LanError
    from harness.plugin import shared
    from harness.suite import probe as probing
    from harness.suite import probe_file

    try:
        entry = registry.entry(lan, send_on)
        if why_not := entry.missing():
            raise LanError(f"{lan} cannot run here: {why_not}")
        if output is not None:
            probe_file.drafted(entry.spec, ())
        if entry.sends_on:
            where = ", ".join(entry.sends_on)
            click.echo(visible(f"{entry.name}: frames are sent on {where}"), err=True)
        with shared.held([entry]):
            made = entry.make()
            try:
                findings = list(probing.probe(made))
            finally:
                made.close()
        if output is not None:
            output.write_text(probe_file.drafted(entry.spec, findings))
    except LanError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        click.echo(f"{output}: {error.strerror}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    if output is None:
        for line in probing.report(findings, entry.name):
            click.echo(visible(line))
        sys.exit(EXIT_DISAGREES if any(finding.wrong for finding in findings) else 0)
    unclear = [finding for finding in findings if not finding.properties and finding.wrong]
    for finding in unclear:
        click.echo(visible(f"{finding.what} is {finding.found}: {finding.evidence}"))
    click.echo(f"{output}: {len(findings)} findings, {len(unclear)} unclear")
    sys.exit(EXIT_DISAGREES if unclear else 0)


@main.command()
def restore() -> None:
    r"""Restore what killed runs left changed on network interfaces.

    A run that uses such an interface again restores it too. Prints the names of the
    interfaces. Exit code: 0, or 2 if one cannot be restored.

    \b
    Example:
      lguest-harness restore
    """
    from harness.lan import LanError
    from harness.lans.wire import journal
    from harness.plugin import shared

    try:
        restored = journal.restore()
        shared.forget()
    except (LanError, OSError) as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)
    for name in restored:
        click.echo(f"restored {visible(name)}")
    if not restored:
        click.echo("nothing was left to restore")


def _own_rules(paths: tuple[str, ...]) -> NoReturn:
    """List a project's rules with its tests; exits with 1 if one has none."""
    from harness.rules import RULES
    from harness.suite.coverage import own_rules
    from harness.suite.run import SuiteError

    try:
        own, tests = own_rules(paths)
    except SuiteError as error:
        click.echo(f"your tests cannot be collected:\n{error}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    for rule in (*own, *(RULES[name] for name in RULES if name in tests)):
        click.echo(visible(f"{rule.id:<7} {rule.text}  [{rule.source}]"))
        for test in tests.get(rule.id, ()):
            click.echo(f"          {visible(test)}")
    untested = [rule.id for rule in own if rule.id not in tests]
    for rule_id in untested:
        click.echo(f"{rule_id} has no test", err=True)
    click.echo(
        f"{len(own)} rule{'s' * (len(own) != 1)} of your own, {len(untested)} without a test"
    )
    sys.exit(EXIT_DISAGREES if untested else 0)


@main.command()
@click.option("--coverage", is_flag=True, help="Show what catches which broken LAN; runs them.")
@click.option("--kinds", is_flag=True, help="Print how many tests each kind of LAN has, by rule.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Processes that run them.",
)
@click.argument("tests", nargs=-1, type=click.Path(exists=True))
def rules(coverage: bool, kinds: bool, workers: int, tests: tuple[str, ...]) -> None:
    r"""List the rules, and the tests of each.

    With TESTS, files or folders with tests of your own, list the rules that your project
    defines, and the suite's rules that your tests name. With --coverage also the deliberately
    broken LANs, each run through the tests of its rule; with --kinds a Markdown table instead.
    Exit code: 0; 1 if a rule of your own has no test, or with --coverage if a rule has no test,
    or no broken LAN that its tests catch, or a broken LAN is not caught; 2 if tests cannot be
    collected or run.

    \b
    Example:
      lguest-harness rules --coverage
      lguest-harness rules tests
    """
    from harness.broken.catalogue import BROKEN
    from harness.rules import RULES
    from harness.suite.coverage import catches, kinds_table, tests_of_rules
    from harness.suite.run import SuiteError

    if kinds:
        if coverage or tests:
            raise click.UsageError("--kinds goes with no other option, and without TESTS")
        for line in kinds_table():
            click.echo(line)
        return
    if tests:
        if coverage:
            raise click.UsageError("--coverage is about the suite's own tests: leave TESTS out")
        _own_rules(tests)
    try:
        suite = tests_of_rules()
        caught = catches(workers) if coverage else {}
    except SuiteError as error:
        click.echo(f"the suite cannot be run:\n{error}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    holes = []
    for rule in RULES.values():
        click.echo(f"{rule.id:<7} {rule.text}  [{rule.source}; {rule.scope}, {rule.view}]")
        for test in suite.get(rule.id, ()):
            click.echo(f"          {test}")
        if not suite.get(rule.id):
            holes.append(f"{rule.id} has no test")
        breakers = [lan for lan in BROKEN.values() if lan.rule == rule.id] if coverage else []
        for broken in breakers:
            catch = caught[broken.name]
            by = len(catch.caught_by)
            click.echo(f"          broken:{broken.name} ({broken.what}): caught by {by}")
            if not catch.caught_by:
                holes.append(f"broken:{broken.name} is not caught by a test of {rule.id}")
            holes += [f"broken:{broken.name} disturbs {test}" for test in catch.disturbed]
        if coverage and not breakers:
            holes.append(f"{rule.id} has no broken LAN")
    if coverage:
        for hole in holes:
            click.echo(hole, err=True)
        counted = f"{len(RULES)} rules, {sum(map(len, suite.values()))} tests, {len(caught)}"
        click.echo(f"{counted} broken LANs, {len(holes)} holes")
        sys.exit(EXIT_DISAGREES if holes else 0)


@main.command()
@click.argument("results", nargs=-1, required=True, type=_RESULTS)
@_largest
def matrix(results: tuple[Path, ...], largest: int) -> None:
    r"""Print rule by LAN of one run or several, as a Markdown table.

    RESULTS are files, or folders with a results.jsonl. Exit code: 0, or 2 if a file cannot
    be read.

    \b
    Example:
      lguest-harness matrix reports
    """
    from harness.report import summary

    _finish(summary.matrix(results, largest))


@main.command()
@click.argument("results", nargs=-1, required=True, type=_RESULTS)
@_largest
def judge(results: tuple[Path, ...], largest: int) -> None:
    r"""Re-check the verdicts of runs from their captures, without any LAN.

    RESULTS are files, or folders with a results.jsonl. Prints each verdict that the
    evidence does not support, and why. Exit code: 0 if all are supported, 1 if one is not,
    or if a run is unfinished or a line of it cannot be read, 2 if a file cannot be read.

    \b
    Example:
      lguest-harness judge reports
    """
    from harness.evidence import judge

    _finish(judge.answer(results, largest))


@main.command()
@click.argument("old", type=_RESULTS)
@click.argument("new", type=_RESULTS)
@_largest
def diff(old: Path, new: Path, largest: int) -> None:
    r"""Compare two runs: tests added, gone, changed for better or worse.

    From best to worst a test is passed, deviation, unsupported, skipped, inconclusive, failed.
    Exit code: 0 if nothing got worse; 1 if a test did, is gone or unfinished, or came and is
    red; 2 if a file cannot be read, or a line of one.

    \b
    Example:
      lguest-harness diff yesterday/results.jsonl reports
    """
    from harness.report import compare

    _finish(compare.answer(old, new, largest))


@main.command()
@click.argument("results", nargs=-1, required=True, type=_RESULTS)
@click.option("-o", "folder", required=True, type=_RESULTS, help="Where the report goes.")
@click.option(
    "--against",
    multiple=True,
    type=_RESULTS,
    help="An older run to compare with; the latest first, if there are several.",
)
@_largest
def report(
    results: tuple[Path, ...], folder: Path, against: tuple[Path, ...], largest: int
) -> None:
    r"""Make one report of many runs: shards, machines, LANs.

    RESULTS are files, or folders with a results.jsonl. Below the folder go index.html and,
    in runs/, copies of the results with their captures; evidence.zip has the same, and lans/ has a
    page and a badge for each LAN. A Markdown summary is added to the
    file that GITHUB_STEP_SUMMARY names. Exit code: 0 if all tests of all runs ended and none
    is red; 1 if not, or if a line cannot be read, a capture or a shard is missing, or two
    shards have the same test; 2 if a file cannot be read, rule tables differ, or the folder
    has files that are not of a report; 74 if the report cannot be written. It may be made
    again in the same folder: only what it wrote there itself is replaced.

    \b
    Example:
      lguest-harness report shard-1 shard-2 shard-3 -o merged
      lguest-harness report today --against yesterday -o compared
    """
    from harness.report import many

    _finish(many.answer(results, folder, largest, against))


@main.command()
@click.argument("lan", shell_complete=completion.lans)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it there.")
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="A deviations file whose entries are kept where they still hold  [default: the LAN's"
    " own, or what is in --output]",
)
def deviations(lan: str, output: Path | None, known: Path | None) -> None:
    r"""Run the suite on a LAN, and draft its deviations file.

    A new entry has an empty reason, and is refused until a person has filled it in. Exit
    code: 0 if every test gave a verdict, 1 if some did not (they are listed, and are in no
    entry), 2 if nothing could be run.

    \b
    Example:
      lguest-harness deviations command:./mylan -o mylan.toml
      lguest-harness run command:./mylan -- --deviations mylan.toml
    """
    from harness import registry
    from harness.deviations import FOLDER, entries, read
    from harness.lan import LanError
    from harness.suite import drafts
    from harness.suite.run import SuiteError

    if known is None:
        places = (FOLDER / f"{lan}.toml", output)
        known = next((place for place in places if place is not None and place.exists()), None)
    try:
        entry = registry.entry(lan)
        if why_not := entry.missing():
            raise LanError(f"{lan} cannot run here: {why_not}")
        listed = read(known, draft=True) if known else entries(entry.deviations, lan, draft=True)
        observed = drafts.run(entry)
        made = drafts.entries(observed, listed)
        text = drafts.text(entry, made, drafts.head_of(known) if known else "")
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text)
    except (LanError, SuiteError) as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        click.echo(f"{output}: {error.strerror}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    kept = {(new.rule, new.reason, new.evidence) for new in made}
    for old in listed:
        if (old.rule, old.reason, old.evidence) not in kept:
            click.echo(f"left out, as no test shows it: {old.rule}: {old.reason}", err=True)
    for test, why in observed.unclear.items():
        click.echo(f"no verdict: {test}: {why}", err=True)
    empty = sum(not made_entry.reason for made_entry in made)
    click.echo(f"{len(made)} deviations, {empty} to be filled in", err=True)
    sys.exit(EXIT_DISAGREES if observed.unclear else 0)


@main.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--from", "first", metavar="PACKET", default=1, help="Begin at that packet.")
@click.option("--test", metavar="TEXT", default="", help="Only tests with that in their name.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with letters of ASCII only.")
@_largest
def show(capture: Path, first: int, test: str, ascii_only: bool, largest: int) -> None:
    r"""Print a capture as a sequence diagram: ports as lifelines, frames as arrows.

    A cut frame is broken off (//), a dropped one ends in an x with the reason. Numbers are
    those of the packets in Wireshark. Exit code: 0, or 2 if there is no such capture, it is
    damaged, or nothing in it is asked for.

    \b
    Example:
      lguest-harness show "reports/captures/testcases/test_slots.py/test_first[lguest].pcapng"
      lguest-harness show reports/run.pcapng --test test_runt
    """
    from harness.evidence.reader import BadCapture
    from harness.report import show as shown

    try:
        shown.print_all(capture, first, test, ascii_only=ascii_only, most=largest)
    except BadCapture as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)


@main.command()
@click.argument("rule", shell_complete=completion.rules)
def explain(rule: str) -> None:
    r"""Explain a rule: what it says, its tests, which LANs break it and why.

    The broken LANs are named, and not run: `lguest-harness rules --coverage` does that.
    Exit code: 0, or 2 for an unknown rule.

    \b
    Example:
      lguest-harness explain DLV-2
    """
    from harness.lan import LanError
    from harness.suite import explain as about
    from harness.suite.run import SuiteError

    try:
        for line in about.explain(about.rule(rule)):
            click.echo(line)
    except (about.UnknownRule, LanError) as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_INPUT)
    except SuiteError as error:
        click.echo(f"the suite cannot be run:\n{error}", err=True)
        sys.exit(EXIT_BAD_INPUT)


@main.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace another profile that is there.")
def wireshark(folder: Path | None, force: bool) -> None:
    r"""Write a profile for Wireshark and tshark: columns and colours for our captures.

    It goes where Wireshark looks for profiles, or to DIR, which is then the profile itself.
    Exit code: 0, or 2 if another profile is there, or it cannot be written.

    \b
    Example:
      lguest-harness wireshark
      wireshark -C lguest-harness reports/run.pcapng
      tshark -C lguest-harness --color -r reports/run.pcapng
    """
    from harness.report import wireshark as profile

    try:
        where = folder or profile.usual_place()
        replaced = profile.write(where, replace=force)
    except profile.NoProfile as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_INPUT)
    for path in replaced:
        click.echo(f"replaced {path}")
    click.echo(f"{where}: {profile.advice(where)}")
