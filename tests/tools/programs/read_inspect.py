"""Read the only Inspect log of a folder with each reader of Inspect, and print it."""

import json
import sys

from inspect_ai.analysis import samples_df
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

[place] = list_eval_logs(sys.argv[1])
log = read_eval_log(place)


def line(sample, error):
    score = (sample.scores or {}).get("reward")
    message = None if error is None else error.partition(" (")[0]
    return [sample.id, sample.epoch, None if score is None else score.value, message]


print(
    json.dumps(
        {
            "status": log.status,
            "task": log.eval.task,
            "metrics": {key: metric.value for key, metric in log.results.scores[0].metrics.items()},
            "samples": [
                line(sample, sample.error and sample.error.message) for sample in log.samples
            ],
            "summaries": [
                line(summary, summary.error) for summary in read_eval_log_sample_summaries(place)
            ],
            "frame": sorted(samples_df(sys.argv[1])["score_reward"].dropna()),
            "answer": log.samples[0].output.completion,
        }
    )
)
