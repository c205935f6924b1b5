"""`toolkit pause` and `toolkit cancel`: a run under way in any process, steered through its journal."""

from __future__ import annotations

from toolkit.cli.options import DEFAULT_HOME, Home, RunName


def pause(run: RunName, home: Home = DEFAULT_HOME) -> None:
    """Pause a run that is going on, wherever: what is under way ends, nothing more begins until `toolkit resume`."""
    from toolkit.asking.steering import steer
    from toolkit.runs.run_names import going_on

    run_id = _named(run, home)
    news = steer(home, run_id, "pause")
    print(f"{run_id} {'is paused' if news else 'was paused before'}; to go on: {going_on(run_id, home)}")


def cancel(run: RunName, home: Home = DEFAULT_HOME) -> None:
    """Stop a run that is going on, wherever, between two attempts; `toolkit resume` goes on with it later."""
    from toolkit.asking.steering import steer
    from toolkit.runs.run_names import going_on

    run_id = _named(run, home)
    news = steer(home, run_id, "cancel")
    print(f"{run_id} {'stops' if news else 'is stopping'} once its calls have ended; later: {going_on(run_id, home)}")


def lifted(run: str, home: Home) -> bool:
    """Whether that run was paused in processes that live, and goes on there now, which is told."""
    from toolkit.asking.steering import steer
    from toolkit.ledger.reading.history import History
    from toolkit.widgets import telling
    from toolkit.widgets.standing import standing_of

    run_id = _named(run, home)
    standing = standing_of(History(home), run_id)
    if not standing.is_paused:
        return False
    steer(home, run_id, None)
    print(f"{run_id} goes on in {telling.where(standing)}")
    return True


def _named(run: str, home: Home) -> str:
    from toolkit.ledger.reading.history import History
    from toolkit.runs.run_names import named

    return named(History(home), run)
