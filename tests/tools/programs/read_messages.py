"""Read the messages and the usage of the only Inspect log of a folder, and print them."""

import json
import sys

from inspect_ai.analysis import messages_df, samples_df
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

[place] = list_eval_logs(sys.argv[1])
log = read_eval_log(place)


def usage_of(usage):
    return {
        model: {
            "input_tokens": item.input_tokens,
            "output_tokens": item.output_tokens,
            "total_tokens": item.total_tokens,
            "cache": item.input_tokens_cache_read,
            "cost": item.total_cost,
        }
        for model, item in usage.items()
    }


def line(sample):
    reply = sample.messages[1]
    call = reply.tool_calls[0]
    return {
        "messages": [[message.role, message.text] for message in sample.messages],
        "reasoning": reply.content[0].reasoning,
        "call": [call.id, call.function, call.arguments],
        "usage": usage_of(sample.model_usage),
        "output": sample.output.completion,
        "stop": sample.output.stop_reason,
        "turns": sample.turn_count,
        "picture": sample.messages[0].content[1].image,
    }


summaries = read_eval_log_sample_summaries(place)
print(
    json.dumps(
        {
            "model": log.eval.model,
            "usage": usage_of(log.stats.model_usage),
            "samples": [line(sample) for sample in log.samples],
            "summaries": [usage_of(summary.model_usage) for summary in summaries],
            "counts": [summary.message_count for summary in summaries],
            "frame": [int(value) for value in samples_df(sys.argv[1])["total_tokens"]],
            "rows": messages_df(sys.argv[1])[["role", "content"]].values.tolist(),
        }
    )
)
