"""One row for each route: how somebody would try to reach the owner's things through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import FormData

from tests.integration.gateway_info.conftest import png
from tests.integration.gateway_prompt.stage import graph
from tests.isolation.admin_rows import for_admins
from tests.isolation.estate import NAME, Estate
from tests.isolation.kept import ADVICE, KEPT

WORKFLOW = f"workflows%2F{NAME}.json"


@dataclass(frozen=True)
class Try:
    """One request."""

    path: str
    json: Any = None
    #: a multipart form's fields beside the file, if it is one
    form: dict[str, str] | None = None
    body: bytes | None = None
    #: the owner, asking so, gets to see something of its own
    shows: bool = False
    socket: bool = False
    more: dict[str, str] = field(default_factory=dict)

    def data(self) -> FormData | bytes | None:
        """What goes with it; a form is used up by each request."""
        if self.form is None:
            return self.body
        form = FormData()
        for name, value in self.form.items():
            form.add_field(name, value)
        form.add_field("image", png((9, 9, 9)), filename=f"{NAME}.png")
        return form


#: no credential is asked for, and nothing of anybody's is there
OPEN = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/logout"),
        ("POST", "/logout"),
    }
)

Rows = dict[tuple[str, str], list[Try]]


def rows(estate: Estate) -> Rows:
    """By method and canonical path; ``/api`` forms have those of the bare ones."""
    return {
        **_shared(),
        **_jobs(estate),
        **_files(),
        **_documents(),
        **_ours(estate),
        **_kept(),
    }


def _shared() -> Rows:
    """The same for all, but for what is a user's own in it."""
    names = (
        "object_info",
        "system_stats",
        "features",
        "extensions",
        "i18n",
        "workflow_templates",
        "models",
        "embeddings",
        "experiment/models",
        "users",
        "node_replacements",
        "global_subgraphs",
    )
    plain: Rows = {("GET", f"/{name}"): [Try(f"/{name}")] for name in names}
    plain["GET", "/object_info"] = [Try("/object_info", shows=True)]
    plain["GET", "/object_info/{node_class}"] = [Try("/object_info/LoadImage", shows=True)]
    plain["GET", "/models/{folder}"] = [Try("/models/checkpoints"), Try("/models/..%2fvg")]
    plain["GET", "/experiment/models/{folder}"] = [Try("/experiment/models/checkpoints")]
    plain["GET", "/experiment/models/preview/{folder}/{place}/{tail}"] = [
        Try(f"/experiment/models/preview/output/0/vg/ann/{NAME}_00001_.png"),
        Try(f"/experiment/models/preview/checkpoints/0/..%2f..%2foutput/{NAME}_00001_.png"),
    ]
    plain["GET", "/view_metadata/{folder}"] = [
        Try(f"/view_metadata/output?filename=vg/ann/{NAME}_00001_.png")
    ]
    plain["GET", "/api/workflow_templates/{tail}"] = [
        Try(f"/api/workflow_templates/..%2foutput%2f{NAME}_00001_.png")
    ]
    plain["POST", "/free"] = [Try("/free", json={"unload_models": True, "free_memory": True})]
    plain["POST", "/users"] = [Try("/users", json={"username": "ann"})]
    plain["GET", "/{path}"] = [
        Try("/"),
        Try(f"/output/vg/ann/{NAME}_00001_.png"),
        Try(f"/extensions/../vg/ann/{NAME}_00001_.png"),
        Try("/api/users/ann"),
    ]
    plain["GET", "/global_subgraphs/{id}"] = [Try("/global_subgraphs/..%2foutput")]
    plain["GET", "/api/"] = [Try("/api/")]
    plain["*", "/internal{tail}"] = [
        Try("/internal/files/output/" + NAME),
        Try("/internal/../view?filename=x"),
    ]
    return plain


def _jobs(estate: Estate) -> Rows:
    ids = [estate.queued, estate.running, estate.ended]
    mine = graph("mine")
    return {
        ("GET", "/ws"): [Try("/ws?clientId=tab-of-ann", socket=True)],
        ("GET", "/prompt"): [Try("/prompt")],
        ("POST", "/prompt"): [
            Try("/prompt", json={"prompt": mine, "prompt_id": one, "client_id": "tab-of-ann"})
            for one in ids
        ]
        + [
            Try("/prompt", json={"prompt": mine, "front": True}),
            Try("/prompt", json={"prompt": _loading(f"{NAME}.png")}),
            Try("/prompt", json={"prompt": _loading(f"{NAME}_00001_.png [output]")}),
            Try("/prompt", json={"prompt": _loading(f"../ann/{NAME}.png")}),
            Try("/prompt", json={"prompt": _loading(f"@ann/{NAME}_00001_.png [output]")}),
            Try("/prompt", json={"prompt": _loading(f"@ann/{NAME}.png")}),
            Try("/prompt", json={"prompt": graph(f"@ann/{NAME}")}),
            Try("/prompt", json={"prompt": graph(f"../ann/{NAME}")}),
        ],
        ("GET", "/queue"): [Try("/queue", shows=True)],
        ("POST", "/queue"): [
            Try("/queue", json={"clear": True}),
            Try("/queue", json={"delete": ids}),
        ],
        ("POST", "/interrupt"): [
            Try("/interrupt"),
            Try("/interrupt", json={"prompt_id": estate.running}),
        ],
        ("GET", "/history"): [
            Try("/history", shows=True),
            Try("/history?max_items=1000&offset=0", shows=True),
        ],
        ("GET", "/history/{prompt_id}"): [
            Try(f"/history/{estate.ended}", shows=True),
            Try(f"/history/{estate.running}"),
        ],
        ("POST", "/history"): [
            Try("/history", json={"clear": True}),
            Try("/history", json={"delete": ids}),
        ],
        ("GET", "/jobs"): [
            Try("/jobs?status=pending,in_progress,completed,failed,cancelled", shows=True),
            Try("/jobs?workflow_id=w", shows=True),
        ],
        ("GET", "/jobs/{prompt_id}"): [Try(f"/jobs/{one}", shows=True) for one in ids],
        ("POST", "/jobs/cancel"): [Try("/jobs/cancel", json={"job_ids": ids})],
        ("POST", "/jobs/{prompt_id}/cancel"): [Try(f"/jobs/{one}/cancel") for one in ids],
        ("GET", "/internal/logs"): [Try("/internal/logs")],
        ("GET", "/internal/logs/raw"): [Try("/internal/logs/raw")],
        ("PATCH", "/internal/logs/subscribe"): [
            Try("/internal/logs/subscribe", json={"clientId": "tab-of-ann", "enabled": True})
        ],
        ("GET", "/internal/folder_paths"): [Try("/internal/folder_paths")],
    }


def _loading(name: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


def shared_views() -> tuple[str, ...]:
    """How mates may ask for the owner's output, where outputs are shared."""
    output = f"filename={NAME}_00001_.png"
    return (
        f"/view?{output}&subfolder=@ann",
        f"/view?{output}&subfolder=@ann&type=output",
        f"/view?filename=@ann/{NAME}_00001_.png",
        f"/view?{output}%20[output]&subfolder=%40ann%2F",
    )


def _files() -> Rows:
    output = f"filename={NAME}_00001_.png"
    return {
        ("GET", "/view"): [
            Try(f"/view?{output}", shows=True),
            Try(f"/view?{output}&preview=webp;90"),
            Try(f"/view?{output}&subfolder=vg/ann"),
            Try(f"/view?{output}&subfolder=vg%2Fann"),
            Try(f"/view?{output}&subfolder=..%2Fvg/ann"),
            *(Try(path) for path in shared_views()),
            Try(f"/view?{output}&subfolder=@ann/../@ann/.."),
            Try(f"/view?{output}&subfolder=@ann&type=temp"),
            Try(f"/view?filename={NAME}.png&type=input&subfolder=@ann"),
            Try(f"/view?filename={NAME}.png&type=output&subfolder=@ann"),
            Try(f"/view?filename=@ann/{NAME}.png%20[input]"),
            Try(f"/view?filename={NAME}.png&type=input", shows=True),
            Try(f"/view?filename={NAME}.png%20[input]", shows=True),
            Try(f"/view?filename={NAME}.png&type=input&subfolder=vg/ann"),
        ],
        ("POST", "/upload/image"): [
            Try("/upload/image", form={"overwrite": "true"}),
            Try("/upload/image", form={"subfolder": "../ann", "overwrite": "true"}),
            Try("/upload/image", form={"type": "output", "overwrite": "true"}),
            Try("/upload/image", form={"type": "output", "subfolder": "@ann", "overwrite": "true"}),
        ],
        ("POST", "/upload/mask"): [
            Try(
                "/upload/mask", form={"original_ref": f'{{"filename": "{name}", "type": "{kind}"}}'}
            )
            for name, kind in ((f"{NAME}_00001_.png", "output"), (f"{NAME}.png", "input"))
        ]
        + [
            Try(
                "/upload/mask",
                form={
                    "original_ref": f'{{"filename": "{NAME}_00001_.png", "subfolder": "@ann"}}',
                },
            )
        ],
        ("GET", "/internal/files/{type}"): [
            Try(f"/internal/files/{kind}", shows=kind != "temp")
            for kind in ("input", "output", "temp")
        ],
        ("GET", "/vramgate/files"): [Try("/vramgate/files", shows=True)],
        ("DELETE", "/vramgate/files"): [
            Try(f"/vramgate/files?type=input&path={NAME}.png"),
            Try(f"/vramgate/files?type=input&path=../ann/{NAME}.png"),
        ],
        ("GET", "/cluster/v1/inputs/{sha256}"): [Try("/cluster/v1/inputs/" + "0" * 64)],
    }


def _documents() -> Rows:
    return {
        ("GET", "/settings"): [Try("/settings", shows=True)],
        ("POST", "/settings"): [Try("/settings", json={NAME: "taken"})],
        ("GET", "/settings/{id}"): [Try(f"/settings/{NAME}", shows=True)],
        ("POST", "/settings/{id}"): [Try(f"/settings/{NAME}", json="taken")],
        ("GET", "/userdata"): [
            Try("/userdata?dir=workflows&recurse=true&full_info=true", shows=True),
            Try("/userdata?dir=.&recurse=true", shows=True),
            Try("/userdata?dir=../ann/workflows&recurse=true"),
        ],
        ("GET", "/v2/userdata"): [
            Try("/v2/userdata?path=workflows", shows=True),
            Try("/v2/userdata?path=../ann"),
        ],
        ("GET", "/userdata/{file}"): [
            Try(f"/userdata/{WORKFLOW}", shows=True),
            Try(f"/userdata/..%2Fann%2F{WORKFLOW}"),
        ],
        ("POST", "/userdata/{file}"): [Try(f"/userdata/{WORKFLOW}", body=b'"taken"')],
        ("DELETE", "/userdata/{file}"): [Try(f"/userdata/{WORKFLOW}")],
        ("POST", "/userdata/{file}/move/{dest}"): [
            Try(f"/userdata/{WORKFLOW}/move/stolen.json"),
            Try(f"/userdata/..%2Fann%2F{WORKFLOW}/move/stolen.json"),
        ],
    }


def _ours(estate: Estate) -> Rows:
    actions = ("hold", "unhold", "front", "back", "cancel")
    client = {"client_id": "tab-of-ann"}
    return {
        ("PUT", "/api/etn/image/{id}"): [Try(f"/api/etn/image/{NAME}-1", body=png((9, 9, 9)))],
        ("GET", "/api/etn/image/{id}"): [Try(f"/api/etn/image/{NAME}-1", shows=True)],
        ("GET", "/api/etn/model_info"): [Try("/api/etn/model_info")],
        ("GET", "/api/etn/model_info/{folder}"): [Try("/api/etn/model_info/checkpoints")],
        ("GET", "/api/etn/languages"): [Try("/api/etn/languages")],
        ("GET", "/api/etn/translate/{language}/{text}"): [Try("/api/etn/translate/de/x")],
        ("POST", "/api/etn/workflow/subscribe"): [Try("/api/etn/workflow/subscribe", json=client)],
        ("POST", "/api/etn/workflow/unsubscribe"): [
            Try("/api/etn/workflow/unsubscribe", json=client)
        ],
        ("POST", "/api/etn/workflow/publish"): [
            Try("/api/etn/workflow/publish", json={**client, "name": "x", "workflow": {}})
        ],
        ("GET", "/openapi.json"): [Try("/openapi.json")],
        ("GET", "/metrics"): [Try("/metrics")],
        ("GET", "/dashboard"): [Try("/dashboard")],
        ("GET", "/dashboard/"): [Try("/dashboard/")],
        ("GET", "/dashboard/assets/{name}"): [Try("/dashboard/assets/..%2f..%2fapp.py")],
        ("GET", "/dashboard/api/v1/overview"): [Try("/dashboard/api/v1/overview")],
        ("GET", "/dashboard/api/v1/live"): [Try("/dashboard/api/v1/live", socket=True)],
        ("GET", "/dashboard/api/v1/queue"): [
            Try("/dashboard/api/v1/queue"),
            Try("/dashboard/api/v1/queue?user=ann"),
        ],
        ("POST", "/dashboard/api/v1/jobs/{prompt_id}/{action}"): [
            Try(f"/dashboard/api/v1/jobs/{one}/{action}")
            for one in (estate.queued, estate.running)
            for action in actions
        ],
        ("POST", "/dashboard/api/v1/estimate"): [
            Try("/dashboard/api/v1/estimate", json={"prompt": _loading(f"{NAME}.png")})
        ],
    }


def _kept() -> Rows:
    """What the dashboard tells from the store."""
    api = "/dashboard/api/v1"
    return {
        ("GET", f"{api}/samples/gpus"): [
            Try(f"{api}/samples/gpus"),
            Try(f"{api}/samples/gpus?gpu=gpu-0"),
        ],
        ("GET", f"{api}/samples/pool"): [Try(f"{api}/samples/pool")],
        **_kept_jobs(api),
        **for_admins(api, Try),
        **_kept_files(api),
        **_kept_sums(api),
        **_kept_advice(api),
        **_kept_alerts(f"{api}/alerts"),
    }


def _kept_alerts(api: str) -> Rows:
    silence = {"rule": "*", "until_ms": 4_000_000_000_000, "why": "quiet"}
    return {
        ("GET", api): [Try(api, shows=True)],
        ("GET", f"{api}/past"): [Try(f"{api}/past", shows=True), Try(f"{api}/past?rule=slow_node")],
        ("GET", f"{api}/one/{{alert}}"): [Try(f"{api}/one/{NAME}-alert", shows=True)],
        ("GET", f"{api}/rules"): [Try(f"{api}/rules")],
        ("GET", f"{api}/messages"): [Try(f"{api}/messages")],
        ("GET", f"{api}/silences"): [Try(f"{api}/silences")],
        ("POST", f"{api}/silences"): [Try(f"{api}/silences", json=silence)],
        ("POST", f"{api}/silences/{{silence}}/end"): [Try(f"{api}/silences/one/end")],
        ("POST", f"{api}/test"): [Try(f"{api}/test", json={"receiver": "ops"})],
    }


def _kept_jobs(api: str) -> Rows:
    one = f"{api}/jobs/{KEPT}"
    return {
        ("GET", f"{api}/jobs"): [
            Try(f"{api}/jobs", shows=True),
            Try(f"{api}/jobs?user=ann"),
            Try(f"{api}/jobs?workflow={NAME}-workflow&rows=1000", shows=True),
        ],
        ("GET", f"{api}/jobs/{{job_id}}"): [
            Try(one, shows=True),
            Try(f"{one}?user=ann&attempt=1"),
        ],
        ("GET", f"{api}/jobs/{{job_id}}/node"): [
            Try(f"{one}/node?node=3"),
            Try(f"{one}/node?node=3&user=ann&attempt=1"),
        ],
        ("GET", f"{api}/jobs/{{job_id}}/picture"): [
            Try(f"{one}/picture?node=3", shows=True),
            Try(f"{one}/picture?node=3&user=ann&attempt=1"),
        ],
        ("GET", f"{api}/jobs/{{job_id}}/compare"): [
            Try(f"{one}/compare?with={KEPT}"),
            Try(f"{one}/compare?with={KEPT}&user=ann"),
        ],
        ("GET", f"{api}/workflows"): [
            Try(f"{api}/workflows"),
            Try(f"{api}/workflows?user=ann"),
        ],
        ("GET", f"{api}/workflows/{{fingerprint}}"): [
            Try(f"{api}/workflows/{NAME}-workflow", shows=True),
            Try(f"{api}/workflows/{NAME}-workflow?user=ann"),
        ],
    }


def _kept_files(api: str) -> Rows:
    return {
        ("GET", f"{api}/jobs/{{job_id}}/perf"): [
            Try(f"{api}/jobs/{KEPT}/perf", shows=True),
            Try(f"{api}/jobs/{KEPT}/perf?format=chrome", shows=True),
            Try(f"{api}/jobs/{KEPT}/perf?names=true"),
        ],
        ("GET", f"{api}/perf"): [
            Try(f"{api}/perf", shows=True),
            Try(f"{api}/perf?format=chrome", shows=True),
            Try(f"{api}/perf?names=true"),
        ],
        ("GET", f"{api}/report"): [Try(f"{api}/report")],
    }


def _kept_sums(api: str) -> Rows:
    change = {"from_ms": 0, "until_ms": 3_600_000, "change": {"users": {"ann": {}}}}
    return {
        ("GET", f"{api}/users/usage"): [
            Try(f"{api}/users/usage?by=workflow", shows=True),
            Try(f"{api}/users/usage?user=ann&by=workflow"),
        ],
        ("GET", f"{api}/users/days"): [
            Try(f"{api}/users/days?by=workflow", shows=True),
            Try(f"{api}/users/days?user=ann&by=workflow"),
        ],
        ("GET", f"{api}/users/budgets"): [Try(f"{api}/users/budgets")],
        ("GET", f"{api}/users/statement"): [
            Try(f"{api}/users/statement?by=workflow", shows=True),
            Try(f"{api}/users/statement?by=workflow&form=json", shows=True),
            Try(f"{api}/users/statement?by=workflow&each=day&form=html", shows=True),
            Try(f"{api}/users/statement?user=ann"),
        ],
        ("GET", f"{api}/contention"): [Try(f"{api}/contention", shows=True)],
        ("GET", f"{api}/contention/week"): [Try(f"{api}/contention/week")],
        ("GET", f"{api}/contention/what-ifs"): [Try(f"{api}/contention/what-ifs")],
        ("POST", f"{api}/contention/what-ifs"): [Try(f"{api}/contention/what-ifs", json=change)],
        ("GET", f"{api}/contention/what-ifs/choices"): [
            Try(f"{api}/contention/what-ifs/choices"),
        ],
        ("GET", f"{api}/contention/what-ifs/{{id}}"): [Try(f"{api}/contention/what-ifs/one")],
    }


def _kept_advice(api: str) -> Rows:
    one = f"{api}/advice/{ADVICE}"
    return {
        ("GET", f"{api}/advice"): [
            Try(f"{api}/advice", shows=True),
            Try(f"{api}/advice?state=dismissed"),
            Try(f"{api}/advice?state=ended&kind=repeats"),
        ],
        ("POST", f"{api}/advice"): [Try(f"{api}/advice")],
        ("GET", f"{api}/advice/{{id}}"): [Try(one, shows=True)],
        ("POST", f"{api}/advice/{{id}}/dismiss"): [
            Try(f"{one}/dismiss", json={"why": "x"}),
            Try(f"{one}/dismiss", json={"why": 7}),
        ],
        ("POST", f"{api}/advice/{{id}}/recall"): [Try(f"{one}/recall")],
        ("GET", f"{api}/jobs/{{job_id}}/advice"): [
            Try(f"{api}/jobs/{KEPT}/advice", shows=True),
            Try(f"{api}/jobs/{KEPT}/advice?user=ann"),
        ],
    }
