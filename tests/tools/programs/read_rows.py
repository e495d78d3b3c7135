"""Read the rows of a run with pandas, and print statistics."""

import json
import sys

import pandas

path = sys.argv[1]
readers = {
    "parquet": pandas.read_parquet,
    "csv": pandas.read_csv,
    "jsonl": lambda path: pandas.read_json(path, lines=True),
}
frame = readers[path.rpartition(".")[2]](path)
request = frame.loc[frame["index"] == 0, "request"].item()
finished = pandas.to_datetime(frame["finished_at"], utc=True)
means = frame.groupby("seed")["reward"].mean().dropna()
print(
    json.dumps(
        {
            "rows": len(frame),
            "means": {str(seed): mean for seed, mean in means.items()},
            "failures": frame["failure"].value_counts().to_dict(),
            "request": request if isinstance(request, dict) else json.loads(request),
            "is_timed": bool(finished.notna().all()),
        }
    )
)
