"""Trajectory of a rollout as text for people: all that was said, called, observed and rewarded."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

import click

from synth_pools.cli.output import cell, fields, has_colour, is_terminal, safe_text, width
from synth_pools.trajectories.messages import as_text, results_in

_SHOWN = ("step_id", "source", "message", "model_name", "timestamp", "tool_calls", "observation")
_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")
# Longer lines, as of images in text, are left to the terminal: to wrap them takes too long.
_LONGEST_WRAPPED = 20_000


def trajectory_text(trajectory: Any) -> str:
    """Lay out a trajectory, wrapped on a terminal; ids of tokens are counted, all else is there."""
    try:
        return _laid_out(trajectory)
    except (AttributeError, KeyError, TypeError, ValueError):
        # Not in ATIF: services of others answer as they like.
        return fields(trajectory)


def has_no_steps(trajectory: Any) -> bool:
    """Return True if a part of a trajectory has no step in it."""
    return isinstance(trajectory, Mapping) and trajectory.get("steps") == []


def _laid_out(trajectory: Mapping[str, Any]) -> str:
    agent = trajectory["agent"]
    names = [agent["name"], agent["version"], agent.get("model_name")]
    sums = dict(trajectory.get("final_metrics") or {})
    totals = {name: sums.get(f"total_{name}") for name in _COUNTS}
    steps = sums.pop("total_steps", None)
    rest = {
        name: value
        for name, value in trajectory.items()
        if name not in ("agent", "steps", "final_metrics") and value is not None
    }
    head = [cell(name) for name in names if name and name != "unknown"]
    head += [] if steps is None else [f"{cell(steps)} steps"]
    lines = [_head([*head, *_figures(totals)])]
    for place, document in (("agent", agent), ("final_metrics", sums)):
        columns = ("name", "version", "model_name", *(f"total_{name}" for name in _COUNTS))
        more = {name: value for name, value in document.items() if name not in columns}
        rest |= {place: more} if more else {}
    lines += [f"{safe_text(name)}: {cell(value)}" for name, value in rest.items()]
    for step in trajectory["steps"]:
        lines += ["", *_step(step)]
    return "\n".join(lines) + "\n"


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    metrics, extra = dict(step.get("metrics") or {}), dict(step.get("extra") or {})
    head = [f"{step['step_id']}  {cell(step['source'])}"]
    head += [cell(step["model_name"])] if step.get("model_name") else []
    if step.get("timestamp"):
        head.append(re.sub(r"\.\d+", "", cell(step["timestamp"])).replace("+00:00", "Z"))
    head += _figures(metrics)
    if isinstance(extra.get("seconds"), int | float):
        head.append(f"{extra.pop('seconds'):.3g} s")
    if "reward" in extra:
        head.append(f"reward {cell(extra.pop('reward'))}")
    yield _head(head)
    for name, value in step.items():
        is_shown = name in (*_SHOWN, "metrics", "extra") or (name, value) == ("llm_call_count", 1)
        if not is_shown and value is not None:
            yield from _paragraph(f"{name}: ", value)
    yield from _paragraph("", as_text(step["message"]))
    for call in step.get("tool_calls") or ():
        more = {name: call[name] for name in ("extra",) if call.get(name)}
        text = f"{call['function_name']}({json.dumps(call['arguments'], ensure_ascii=False)})"
        yield from _paragraph(f"→ [{cell(call['tool_call_id'])}] ", _with(text, more))
    for result in results_in(step):
        more = {
            name: value
            for name, value in result.items()
            if name not in ("source_call_id", "content") and value is not None
        }
        call_id = result.get("source_call_id")
        mark = "← " if call_id is None else f"← [{cell(call_id)}] "
        yield from _paragraph(mark, _with(as_text(result.get("content")), more))
    for name, value in metrics.items():
        if name not in _COUNTS and value is not None:
            is_long = name in ("prompt_token_ids", "completion_token_ids", "logprobs")
            yield from _paragraph(f"{name}: ", f"{len(value):,} numbers" if is_long else value)
    if isinstance(error := extra.get("error"), Mapping) and isinstance(error.get("message"), str):
        rest = {name: value for name, value in error.items() if name != "message"}
        yield from _paragraph("error: ", _with(error["message"], rest))
        del extra["error"]
    if extra:
        yield from _paragraph("extra: ", extra)


def _with(text: str, more: Mapping[str, Any]) -> str:
    return f"{text} {json.dumps(more, ensure_ascii=False)}" if more else text


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    figures = []
    if metrics.get("prompt_tokens") is not None or metrics.get("completion_tokens") is not None:
        cached = metrics.get("cached_tokens")
        more = "" if cached is None else f" ({cached:,} cached)"
        counts = (metrics.get(name) for name in ("prompt_tokens", "completion_tokens"))
        sent, sampled = ("?" if count is None else f"{count:,}" for count in counts)
        figures.append(f"{sent} + {sampled} tokens{more}")
    if metrics.get("cost_usd") is not None:
        figures.append(f"${metrics['cost_usd']:.6g}")
    return figures


def _head(parts: list[str]) -> str:
    text = " · ".join(parts)
    return click.style(text, bold=True) if has_colour(sys.stdout) else text


def _paragraph(mark: str, value: Any) -> Iterator[str]:
    """Indent a value; its own lines stay, and control characters are escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    mark = f"   {safe_text(mark)}"
    room = max(20, width() - len(mark))
    for line in map(safe_text, text.split("\n") if text else ()):
        is_wrapped = is_terminal(sys.stdout) and room < len(line) <= _LONGEST_WRAPPED
        for part in wrap(line, room, break_on_hyphens=False) if is_wrapped else [line]:
            yield f"{mark}{part}".rstrip()
            mark = " " * len(mark)
