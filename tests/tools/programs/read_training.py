"""Read files for training as the trainers do, and print what they make of them."""

import __future__

import ast
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy

# Nothing is fetched, and nothing but the answer printed.
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

from datasets import load_dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast
from trl.data_utils import apply_chat_template, is_conversational

TEMPLATE = """\
{%- for tool in tools or [] %}<tool {{ tool.function.name }}>{% endfor %}
{%- for message in messages %}<{{ message.role }}>{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}<call {{ call.function.name }}>{% endfor %}
{%- endfor %}"""


def tree_of(package, path):
    # A package as a whole needs PyTorch.
    [folder] = find_spec(package).submodule_search_locations
    return ast.parse((Path(folder) / path).read_text())


def conversations(path):
    """Read what `SFTTrainer` reads: rows of a dataset, through a chat template."""
    words = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template=TEMPLATE)
    rows = load_dataset("json", data_files=path, split="train", cache_dir=f"{path}.cache")
    return [
        {
            "is_conversational": is_conversational(row),
            "text": apply_chat_template(
                {"messages": row["messages"]}, tokenizer, tools=row.get("tools")
            )["text"],
        }
        for row in rows
    ]


def missing_keys(path):
    """Return the keys of `rollout_func` that `GRPOTrainer` asks for in vain."""
    for node in ast.walk(tree_of("trl", "trainer/grpo_trainer.py")):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "required_keys":
            return sorted(ast.literal_eval(node.value) - json.loads(Path(path).read_text()).keys())
    raise LookupError("the trainer requires no keys")


def validated(path):
    """Return the number of rows that SkyRL finds valid."""
    names = ("validate_generator_output", "_validate_step_wise_fields")
    tree = tree_of("skyrl", "train/utils/trainer_utils.py")
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    functions = {"np": numpy}
    flags = __future__.annotations.compiler_flag
    exec(compile(tree, path, "exec", flags), functions)
    output = json.loads(Path(path).read_text())
    functions[names[0]](len(set(map(str, output["trajectory_ids"]))), output, step_wise=True)
    return len(output["response_ids"])


readers = {"sft": conversations, "trl": missing_keys, "skyrl": validated}
print(json.dumps({path: readers[Path(path).stem](path) for path in sys.argv[1:]}))
