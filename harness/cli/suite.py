"""Commands that run the suite, or say what it is about: LANs, rules, deviations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from harness.cli import completion
from harness.cli.group import (
    AFTER_DASHES,
    EXIT_BAD_INPUT,
    EXIT_DISAGREES,
    Command,
    largest_option,
    send_on_option,
)
from harness.evidence.files import BadFile
from harness.evidence.text import visible


@click.command(cls=Command)
@click.argument("lans", nargs=-1, required=True, shell_complete=completion.lans)
@click.option("--quick", is_flag=True, help="Run one test of each rule: seconds, and less proof.")
@send_on_option
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
        *context.meta.get(AFTER_DASHES, ()),
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


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@largest_option
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
                    differences = recordings.play(scenario)
                except recordings.BadRecording as error:
                    bad += 1
                    click.echo(visible(f"{path}:{number}: {error}"), err=True)
                    continue
                for difference in differences:
                    click.echo(visible(str(difference)))
                differ += bool(differences)
                agree += not differences
        except BadFile as error:
            bad += 1
            click.echo(visible(str(error)), err=True)
        except OSError as error:
            bad += 1
            click.echo(visible(f"{path}: {error.strerror}"), err=True)
    click.echo(f"{agree} scenarios agree, {differ} differ")
    sys.exit(EXIT_BAD_INPUT if bad else EXIT_DISAGREES if differ else 0)


@click.command(cls=Command)
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


@click.command(cls=Command)
@click.argument("lan", shell_complete=completion.lans)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draft a LAN file there.")
@send_on_option
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
        click.echo(visible(f"{finding.what} is {finding.observed}: {finding.evidence}"))
    click.echo(f"{output}: {len(findings)} findings, {len(unclear)} unclear")
    sys.exit(EXIT_DISAGREES if unclear else 0)


@click.command(cls=Command)
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


@click.command(cls=Command)
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


@click.command(cls=Command)
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


@click.command(cls=Command)
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
