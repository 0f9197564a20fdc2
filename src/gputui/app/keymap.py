"""Every key of the main screen, with its id for remapping and help."""

from textual.binding import Binding

GPU_KEYS = "0,1,2,3,4,5,6,7,8,9"


def _key(keys: str, action: str, text: str, identity: str, help_text: str, *, show: bool = False) -> Binding:
    return Binding(keys, action, text, id=identity, tooltip=help_text, show=show)


TABLE: list[Binding] = [
    _key(
        "enter", "select_cursor", "edit", "service.edit", "type the GPUs and the VRAM budget of the service", show=True
    ),
]

MAIN: list[Binding] = [
    *(
        Binding(
            digit,
            f"toggle_gpu('{digit}')",
            "toggle GPU",
            key_display="0-9" if digit == "0" else None,
            id=f"gpu.toggle.{digit}",
            tooltip="append this GPU to the selected service, or take it away; the order of pressing counts",
            show=digit == "0",
        )
        for digit in GPU_KEYS.split(",")
    ),
    _key("d", "toggle_enabled", "on/off", "service.enabled", "enable or disable the selected service in the draft"),
    _key("s", "strategies", "strategy", "draft.strategy", "what each strategy would assign, side by side", show=True),
    _key("F", "take_fix", "take fix", "draft.fix", "change the arguments as the finding under the table proposes"),
    _key("u", "undo", "undo", "draft.undo", "take the last edit back", show=True),
    _key("ctrl+s", "save", "save", "draft.save", "save the draft as the next revision", show=True),
    _key("p", "show_pane('plan')", "plan", "pane.plan", "what an apply would do", show=True),
    _key("a", "apply", "apply", "plan.apply", "save the draft and carry the plan out", show=True),
    _key("r", "lifecycle('restart')", "restart", "service.restart", "restart the selected service", show=True),
    _key("x", "stop_or_start", "stop/start", "service.stop", "stop the selected service, or start it"),
    _key("ctrl+z", "roll_back", "roll back", "history.rollback", "go back to the revision before, as a new plan"),
    _key("b", "fall_back", "fall back", "service.fallback", "another GPU for services whose own was gone at the start"),
    _key("l", "show_pane('logs')", "logs", "pane.logs", "the log of the selected service", show=True),
    _key("v", "show_pane('launch')", "launch", "pane.launch", "the progress of the running or the last apply"),
    _key("i", "show_pane('gpus')", "GPUs", "pane.gpus", "every value of every GPU: UUID, capability, memory, clock"),
    _key("o", "show_pane('processes')", "processes", "pane.processes", "the processes on all GPUs"),
    _key("f", "show_pane('findings')", "findings", "pane.findings", "everything worth saying"),
    _key("h", "show_pane('history')", "history", "pane.history", "revisions and applies"),
    _key("right_square_bracket", "next_pane(1)", "next pane", "pane.next", "the next pane"),
    _key("left_square_bracket", "next_pane(-1)", "previous pane", "pane.previous", "the previous pane"),
    _key("j", "cursor(1)", "down", "cursor.down", "the next service"),
    _key("k", "cursor(-1)", "up", "cursor.up", "the previous service"),
    _key("g", "cursor_to(0)", "first", "cursor.first", "the first service"),
    _key("G", "cursor_to(-1)", "last", "cursor.last", "the last service"),
    _key("slash", "filter", "filter", "table.filter", "show the services whose name, model or state has this text"),
    _key("escape", "back", "back", "back", "leave the filter, go back to the table"),
    _key("f5", "rescan", "look for GPUs", "gpu.rescan", "look for new GPUs, and read the Compose files again"),
    _key("ctrl+l", "app.repaint", "repaint", "repaint", "draw the whole screen again"),
    _key("question_mark", "help", "help", "help", "all keys", show=True),
    _key("q", "quit", "quit", "quit", "leave; a running apply goes on", show=True),
]
