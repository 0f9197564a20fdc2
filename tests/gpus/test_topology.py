"""Which GPUs form an island."""

from gputui.gpus.topology import SWITCH, islands, numa_node


def links(**peers: str) -> dict[str, frozenset[str]]:
    return {uuid: frozenset(others.split()) for uuid, others in peers.items()}


def test_gpus_behind_a_switch_are_one_island() -> None:
    found = islands(links(a=SWITCH, b=SWITCH, c=SWITCH), {"a": 0, "b": 0, "c": 1})
    assert found == {"a": "NVLink 0", "b": "NVLink 0", "c": "NVLink 0"}


def test_bridged_pairs_are_islands_of_two() -> None:
    found = islands(links(a="b", b="a", c="d", d="c"), dict.fromkeys("abcd"))
    assert found == {"a": "NVLink 0", "b": "NVLink 0", "c": "NVLink 1", "d": "NVLink 1"}


def test_links_over_others_count() -> None:
    assert len(set(islands(links(a="b", b="a c", c="b"), dict.fromkeys("abc")).values())) == 1


def test_without_links_the_numa_node_decides() -> None:
    assert islands(links(a="", b="", c=""), {"a": 0, "b": 1, "c": None}) == {"a": "NUMA 0", "b": "NUMA 1"}


def test_a_device_that_is_not_there_has_no_node() -> None:
    assert numa_node(None) is None
    assert numa_node("00000000:FF:1F.7") is None
