"""Labels and variables of containers that say anything: a plan is made all the same."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.container import Container
from gputui.domain.original import Original
from gputui.planning.changes.steps import make_plan
from gputui.planning.given_gpus import has_ignored_request, requested_gpus, uses_gpus
from gputui.planning.services import World, join_services, key_of
from tests.builders import container, gpu, reading
from tests.junk import documents, own_errors_only, texts, tried

HOST = [gpu(index) for index in range(2)]
LABELS = [
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.compose.container-number",
    "com.docker.compose.oneoff",
    "com.docker.compose.depends_on",
    "com.docker.compose.config-hash",
    "io.gputui.gpus",
    "io.gputui.order",
    "io.gputui.revision",
    "io.gputui.budget-mib",
    "io.gputui.edits",
    "io.gputui.compose-hash",
]
VARIABLES = ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"]
containers = st.builds(
    lambda given, labels, variables, runtime: container(
        "llm", *given, labels=labels, gpu_environment=variables, runtime=runtime
    ),
    st.lists(st.sampled_from(HOST), max_size=2, unique=True),
    st.dictionaries(st.sampled_from(LABELS), texts),
    st.dictionaries(st.sampled_from(VARIABLES), texts),
    st.sampled_from(["", "nvidia", "runc"]),
)


@tried(80)
@given(one=containers)
def test_labels_of_junk_name_a_service_and_its_gpus_or_none(one: Container) -> None:
    """Whatever a person, or another program, wrote into them."""
    with own_errors_only():
        assert key_of(one, "host").replica >= 1
        assert (uses_gpus(one), has_ignored_request(one), requested_gpus(one, HOST)) is not None


@tried(80)
@given(one=containers, budget=st.none() | st.just(2048))
def test_a_plan_over_labels_of_junk_is_made(one: Container, budget: int | None) -> None:
    """Of what is assigned against what they say."""
    world = World(host="host", gpus=HOST, readings=[reading(of) for of in HOST], containers=[one])
    with own_errors_only():
        item = Assignment(key=key_of(one, "host"), gpus=(HOST[1].uuid,), adopted=True, budget_mib=budget)
        joined = join_services(world, Assignments(revision=2, items=(item,)))
        make_plan(joined.services, HOST, [], revision=2, containers=[one])


ORIGINAL: dict[str, Any] = {"cmd": ["--model", "a"], "variables": {"A": None, "B": "c"}}


@tried(80)
@given(raw=documents(ORIGINAL))
def test_a_remembered_original_of_junk_counts_as_none(raw: bytes) -> None:
    """What somebody else wrote there is not what was before."""
    with own_errors_only():
        found = Original.parse(raw.decode(errors="replace"))
        assert found is None or found.label()
