"""Steps of `make docs` before and after the site generator.

python -m codegen.site stage FOLDER     write the source of the site
python -m codegen.site finish FOLDER    complete the search of the built site, and check its links
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen import CodegenError, api_changes, change_kinds, contract_clauses, openapi32
from codegen.site.checking import check_site
from codegen.site.commands_page import COMMANDS_PAGE, command_page
from codegen.site.http_pages import http_pages
from codegen.site.python_pages import python_pages
from codegen.site.search_index import name_members
from codegen.site.staging import stage_site
from codegen.spec_rules import read_spec_file
from synth_pools.cli.operations.table import COMMANDS
from synth_pools.spec import load_spec, spec_path

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["stage", "finish"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    if options.step == "finish":
        name_members(options.folder)
        problems = check_site(options.folder)
    else:
        problems = []
        try:
            stage_site(ROOT, options.folder, derived_pages())
            openapi32.write(spec_path(), options.folder)
        except (CodegenError, OSError) as error:
            problems = [str(error)]
    for problem in problems:
        print(f"docs: {problem}", file=sys.stderr)
    return 1 if problems else 0


def derived_pages() -> dict[str, str]:
    """Write the derived pages, by their paths in the site."""
    return {
        **http_pages(load_spec(), COMMANDS),
        api_changes.PAGE: api_changes.render_page(ROOT, read_spec_file(spec_path())),
        contract_clauses.PAGE: contract_clauses.clauses_page(ROOT),
        change_kinds.PAGE: change_kinds.render_page(),
        COMMANDS_PAGE: command_page(),
        **python_pages(ROOT),
    }


if __name__ == "__main__":
    sys.exit(main())
