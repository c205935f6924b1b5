"""A row's course as a picture and in characters. Pure: a `Course` in, SVG or text out; neither needs a script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import ceil, floor, log10

from toolkit.colours import GREY
from toolkit.runs.progress import duration
from toolkit.widgets.course import FAILED, KINDS, Course, Kind, Stretch

WIDTH, NAMES, LANE, BAR, RULER = 760, 150, 24, 14, 22
CHARACTERS = 56
LETTERS = {"waiting": "·", "service": "#", "retry": "r", "repair": "m", "escalation": "e", "fallback": "f",
           "hedge": "h", "tool": "t", "unasked": "0", "workflow": "w", "reused": "=", "person": "?"}  # fmt: skip


def svg(course: Course) -> str:
    """The picture: a lane for each step, time from left to right; what is clicked is in `data-about`."""
    height = RULER + len(course.lanes) * LANE + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        'style="max-width:100%;height:auto;display:block" role="img" aria-label="timeline of the row" '
        'font-family="system-ui, sans-serif" font-size="11" fill="currentColor">',
        *_ruler(course, height),
    ]
    for number, name in enumerate(course.lanes):
        middle = RULER + number * LANE + LANE / 2
        if name:
            parts.append(f'<text x="{NAMES - 8}" y="{middle + 4}" text-anchor="end">{escape(_cut(name))}</text>')
        parts.append(f'<path d="M{NAMES},{middle} H{WIDTH}" stroke="{GREY}" stroke-opacity=".25"/>')
    for number, stretch in enumerate(course.stretches):
        after = (each.began for each in course.stretches[number + 1 :] if each.lane == stretch.lane)
        parts.append(_bar(course, stretch, room_until=min(after, default=course.seconds)))
    return "".join([*parts, "</svg>"])


def legend(course: Course) -> str:
    """What the colours and marks mean that the picture has, as HTML."""
    shown = [KINDS[kind] for kind in course.kinds]
    shown += [FAILED] if any(stretch.failed for stretch in course.stretches) else []
    return "".join(
        f'<span style="white-space:nowrap"><span style="{_swatch(kind)}">{kind.mark or "&nbsp;"}</span> '
        f"{escape(kind.meaning)}</span>"
        for kind in shown
    )


def text(course: Course) -> Iterator[str]:
    """The same in lines of characters, with what the letters mean below."""
    width = max(map(len, course.lanes), default=0)
    for number, name in enumerate(course.lanes):
        line = [" "] * CHARACTERS
        for stretch in (each for each in course.stretches if each.lane == number):
            first = min(CHARACTERS - 1, int(course.place(stretch.began) * CHARACTERS))
            last = max(first + 1, round(course.place(stretch.ended) * CHARACTERS))
            letter = "x" if stretch.failed else LETTERS[stretch.kind]
            line[first:last] = letter * (min(last, CHARACTERS) - first)
        yield f"  {name:<{width}} |{''.join(line)}|"
    there = [f"{LETTERS[kind]} {KINDS[kind].meaning.split(':')[0]}" for kind in course.kinds]
    there += ["x failed"] if any(stretch.failed for stretch in course.stretches) else []
    yield f"  {' ' * width}  {duration(course.seconds)} in all" + (", idle time folded" if course.folds else "")
    yield f"  {' ' * width}  {', '.join(there)}"


# ------------------------------------------------------------------------------------------------------------ helpers
def _x(course: Course, seconds: float) -> float:
    return round(NAMES + course.place(seconds) * (WIDTH - NAMES - 14), 2)


def _ruler(course: Course, height: int) -> Iterator[str]:
    """Ticks of round numbers where they have room, and where time was folded."""
    step = _round(course.shown_seconds / 6)
    taken = [(_x(course, since) - 20, _x(course, until) + 20) for since, until in course.folds]
    for since, until in course.folds:
        left, right = _x(course, since), _x(course, until)
        yield (
            f'<g><title>nothing was done for {duration(until - since)}: folded</title><rect x="{left}" y="{RULER - 4}" '
            f'width="{right - left:.2f}" height="{height - RULER}" fill="{GREY}" fill-opacity=".16"/>'
            f'<text x="{(left + right) / 2:.1f}" y="{RULER - 9}" text-anchor="middle" fill-opacity=".75">'
            f"… {duration(until - since)} …</text></g>"
        )
    for at in _ticks(course, step):
        x = _x(course, at)
        if any(left < x < right for left, right in taken):
            continue
        taken.append((x - 48, x + 48))
        yield f'<path d="M{x},{RULER - 4} V{height - 4}" stroke="{GREY}" stroke-opacity=".22"/>'
        anchor = "start" if x < NAMES + 20 else "end" if x > WIDTH - 40 else "middle"
        yield f'<text x="{x}" y="{RULER - 9}" text-anchor="{anchor}" fill-opacity=".75">{_moment(at, step)}</text>'


def _ticks(course: Course, step: float) -> Iterator[float]:
    """Multiples of the step in the parts of the time that are shown."""
    starts, ends = [0.0, *(until for _, until in course.folds)], [*(since for since, _ in course.folds), course.seconds]
    for since, until in zip(starts, ends, strict=True):
        number = ceil(since / step)
        while number * step <= until:
            yield number * step
            number += 1


def _bar(course: Course, stretch: Stretch, *, room_until: float) -> str:
    left, right = _x(course, stretch.began), _x(course, stretch.ended)
    width, top = max(right - left, 2.5), RULER + stretch.lane * LANE + (LANE - BAR) / 2
    kind = KINDS[stretch.kind]
    mark = kind.mark + (FAILED.mark if stretch.failed else "")
    fill = FAILED.colour if stretch.failed else kind.colour
    if stretch.kind in ("waiting", "person"):
        paint = f'fill="{fill}" fill-opacity=".12" stroke="{fill}" stroke-dasharray="3 2"'
    else:
        paint = f'fill="{fill}"'
    needed, label = 11 * len(mark), ""
    if mark and width >= needed + 2:
        ink = "currentColor" if stretch.kind == "person" else "#fff" if stretch.failed or kind.mark == "⚙" else "#111"
        label = f'<text x="{left + width / 2:.2f}" y="{top + 11}" text-anchor="middle" fill="{ink}">{mark}</text>'
    elif mark and (_x(course, room_until) - left - width >= needed + 2 or room_until == course.seconds):
        label = f'<text x="{left + width + 2:.2f}" y="{top + 11}">{mark}</text>'
    shape = f'<rect x="{left}" y="{top}" width="{width:.2f}" height="{BAR}" rx="2" {paint}/>'
    return (
        f'<g class="tk-bar" data-about="{escape(stretch.about)}" tabindex="0" role="button">'
        f"<title>{escape(stretch.told)}</title>{shape}{label}</g>"
    )


def _swatch(kind: Kind) -> str:
    look = f"background:{kind.colour}" if kind.mark or "service" in kind.meaning else f"border:1px dashed {kind.colour}"
    ink = "#fff" if kind.mark in ("⚙", "✕", "▦") else "#111"
    return (
        f"display:inline-block;min-width:16px;height:14px;line-height:14px;font-size:11px;text-align:center;"
        f"border-radius:2px;color:{ink};{look}"
    )


def _round(seconds: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** floor(log10(max(seconds, 1e-6)))
    return next(many * power for many in (1, 2, 5, 10) if many * power >= seconds * 0.999)


def _moment(seconds: float, step: float) -> str:
    if step < 0.5 and seconds < 10:
        return f"{1000 * seconds:.4g} ms"
    return f"{seconds:.6g} s" if seconds < 600 else duration(seconds)


def _cut(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"…{name[-most + 1 :]}"
