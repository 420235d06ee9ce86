"""``vramgate gpus``: what each GPU holds, and for whom."""

from __future__ import annotations

import json

from cli.api_client import Api, Json, JsonOption, KeyFileOption, UrlOption, ask, where
from cli.options import ConfigOption, DataDirOption


def gpus(
    as_json: JsonOption = False,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show GPUs and workers: memory by who holds it, and what they do.

    [bold]Example[/bold]: vramgate gpus --json
    """

    async def work(api: Api) -> Json:
        return await api.get("overview")

    found = ask(where(url, key_file, config, data_dir), work)
    if as_json:
        # with the workers that are on none
        told = {name: found[name] for name in ("now_ms", "gpus", "workers")}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from cli.top_view import gpu_table, worker_table

    if not found["gpus"] and not found["workers"]:
        print("no GPU has reported; does an agent run?")
        return
    console = Console()
    if found["gpus"]:
        console.print(gpu_table({one["id"]: one for one in found["gpus"]}))
    if found["workers"]:
        console.print(worker_table({one["id"]: one for one in found["workers"]}))
