"""Task of Inspect: sums, of which a model says the result.

synth-pools env install inspect
cd examples/environments
synth-pools env run inspect:sums.py --model NAME --model-url http://127.0.0.1:8000/v1 --repeats 4
"""

from __future__ import annotations

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate, system_message


@task
def sums(count: int = 10) -> Task:
    """Ten sums, whose ids are the tasks of the pool."""
    samples = [
        Sample(id=f"sum-{i}", input=f"What is {i} + {3 * i}?", target=str(4 * i))
        for i in range(count)
    ]
    solver = [system_message("Answer with the number alone."), generate()]
    return Task(dataset=samples, solver=solver, scorer=match(numeric=True))
