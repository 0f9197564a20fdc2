"""All key bindings, by the part of the screen that has the focus, with their ids for remapping and help."""

from textual.binding import Binding

GPU_KEYS = "0,1,2,3,4,5,6,7,8,9"


def _key(keys: str, action: str, text: str, identity: str, help_text: str, *, show: bool = False) -> Binding:
    return Binding(keys, action, text, id=identity, tooltip=help_text, show=show)


ROWS: list[Binding] = [
    _key(
        "slash", "filter", "filter", "rows.filter", "show the rows that have this text; a regular expression, ! inverts"
    ),
    _key("comma", "sort(-1)", "sort left", "rows.sort.left", "sort by the column to the left"),
    _key("full_stop", "sort(1)", "sort right", "rows.sort.right", "sort by the column to the right"),
    _key("semicolon", "turn_around", "turn around", "rows.sort.turn", "sort the other way around"),
    _key("C", "columns", "columns", "rows.columns", "choose which columns are shown"),
    _key("j,down", "cursor_down", "down", "rows.down", "the next row"),
    _key("k,up", "cursor_up", "up", "rows.up", "the row above"),
    _key("g,home", "cursor_to(0)", "first", "rows.first", "the first row"),
    _key("G,end", "cursor_to(-1)", "last", "rows.last", "the last row"),
    _key("pagedown", "page_down", "page down", "rows.page.down", "a screenful down"),
    _key("pageup", "page_up", "page up", "rows.page.up", "a screenful up"),
]

SERVICES: list[Binding] = [
    _key("enter", "edit", "edit", "service.edit", "choose the GPUs, the VRAM budget and the priority", show=True),
    *(
        Binding(
            digit,
            f"toggle_gpu('{digit}')",
            "GPU",
            key_display="0-9" if digit == "0" else None,
            id=f"gpu.toggle.{digit}",
            tooltip="append this GPU to the selected service, or take it away; the order of pressing counts",
            show=digit == "0",
        )
        for digit in GPU_KEYS.split(",")
    ),
    _key("space", "mark", "mark", "service.mark", "mark the service: keys then mean all that are marked"),
    _key("asterisk", "mark_all", "mark all", "service.mark.all", "mark all that are shown, or none"),
    _key("d", "toggle_enabled", "on/off", "service.enabled", "enable or disable the service in the draft"),
    _key("F", "take_fix", "take fix", "draft.fix", "change the arguments as the finding under the table proposes"),
    _key("r", "lifecycle('restart')", "restart", "service.restart", "restart the service", show=True),
    _key("x", "stop_or_start", "stop/start", "service.stop", "stop the service, or start it"),
    _key("R", "take_file", "refresh", "service.refresh", "re-create the service as its Compose file says"),
    _key("e", "shell", "shell", "service.shell", "a shell in the service's container"),
    _key("i", "inspect", "inspect", "service.inspect", "all that is known of the service"),
]

MAIN: list[Binding] = [
    _key("p", "show_pane('plan')", "plan", "pane.plan", "what an apply would do", show=True),
    _key("a", "apply", "apply", "plan.apply", "save the draft and carry the plan out", show=True),
    _key("s", "strategies", "strategy", "draft.strategy", "what each strategy would assign, side by side", show=True),
    _key("u", "undo", "undo", "draft.undo", "take the last edit back", show=True),
    _key("U", "redo", "redo", "draft.redo", "redo the edit that was undone"),
    _key("ctrl+s", "save", "save", "draft.save", "save the draft as the next revision", show=True),
    _key("l", "show_pane('logs')", "logs", "pane.logs", "the log of the selected service", show=True),
    _key("v", "show_pane('launch')", "launch", "pane.launch", "the progress of the running or the last apply"),
    _key("o", "show_pane('processes')", "processes", "pane.processes", "the processes on all GPUs"),
    _key("f", "show_pane('findings')", "findings", "pane.findings", "everything worth saying"),
    _key("h", "show_pane('history')", "history", "pane.history", "revisions and applies"),
    _key("w", "show_pane('events')", "events", "pane.events", "what happened while you looked elsewhere"),
    _key("right_square_bracket", "next_pane(1)", "next pane", "pane.next", "the next pane"),
    _key("left_square_bracket", "next_pane(-1)", "previous pane", "pane.previous", "the previous pane"),
    _key("tab", "other_half", "other half", "focus.other", "go to the pane below, whose keys then count, or back"),
    _key("z", "zoom", "zoom", "focus.zoom", "give the half that has the focus the whole screen, or back"),
    _key("escape", "back", "back", "back", "leave the filter or the marks, go back to the table"),
    _key("m", "gpus", "GPUs", "gpu.detail", "each GPU with all its values, its last ten minutes, its links", show=True),
    _key("c", "cards", "cards", "gpu.cards", "GPUs as cards, as rows, or as one line; auto is by the room there is"),
    _key("T", "app.themes", "theme", "theme", "another theme, seen at once"),
    _key("n", "new_service", "new service", "service.new", "write a new service into the Compose file"),
    _key("ctrl+z", "roll_back", "roll back", "history.rollback", "go back to the revision before, as a new plan"),
    _key("b", "fall_back", "fall back", "service.fallback", "another GPU for services whose own was gone at the start"),
    _key("f5", "rescan", "look for GPUs", "gpu.rescan", "look for new GPUs, and read the Compose files again"),
    _key("ctrl+l", "app.repaint", "repaint", "repaint", "draw the whole screen again"),
    _key("ctrl+p", "app.command_palette", "palette", "palette", "everything that can be done, by its name"),
    _key("question_mark", "help", "help", "help", "all keys of the part that has the focus", show=True),
    _key("q", "quit", "quit", "quit", "leave; a running apply goes on", show=True),
]

LOGS: list[Binding] = [
    _key("slash", "search", "search", "log.search", "find this text; a regular expression", show=True),
    _key("n", "match(1)", "next", "log.next", "the next match", show=True),
    _key("N", "match(-1)", "previous", "log.previous", "the match before", show=True),
    _key("ampersand", "only", "only", "log.filter", "show only lines that have this text; ! inverts", show=True),
    _key("f", "follow", "follow", "log.follow", "stay at the end as it grows; scrolling up pauses", show=True),
    _key("t", "times", "times", "log.times", "the time of each line"),
    _key("w", "wrap", "wrap", "log.wrap", "wrap long lines", show=True),
    _key("J", "pretty", "JSON", "log.json", "lines that are JSON, in a form to read"),
    _key("m", "mark", "mark", "log.mark", "draw a line after what is there now"),
    _key("plus", "split", "split", "log.split", "one more pane beside this, for the service that is selected then"),
    _key("minus", "close", "close", "log.close", "close this pane"),
    _key("full_stop", "beside(1)", "pane to the right", "log.right", "the pane to the right, whose log keys then mean"),
    _key("comma", "beside(-1)", "pane to the left", "log.left", "the pane to the left"),
    _key("M", "merge", "merge", "log.merge", "all panes in one, lines in the order of their times"),
    *(
        Binding(
            digit,
            f"window({digit})",
            "window",
            key_display="0-6" if digit == "0" else None,
            id=f"log.window.{digit}",
            show=digit == "0",
            tooltip="from where: 0 the last lines, 1 all, 2 one minute, 3 five, 4 fifteen, 5 half an hour, 6 one hour",
        )
        for digit in "0123456"
    ),
    _key("p", "earlier", "previous log", "log.earlier", "the log of the container that was replaced, or back"),
    _key("S", "save", "save", "log.save", "write what is shown to a file"),
    _key("y", "copy", "copy", "log.copy", "copy what is shown, where the settings allow it"),
    _key("g", "to_line(0)", "first", "log.first", "the first line"),
    _key("G", "to_line(-1)", "last", "log.last", "the last line, and follow"),
    _key("j", "scroll(1)", "down", "log.down", "one line down"),
    _key("k", "scroll(-1)", "up", "log.up", "one line up"),
    _key("right", "aside(1)", "to the right", "log.aside.right", "the rest of lines that are longer than the pane"),
    _key("left", "aside(-1)", "to the left", "log.aside.left", "back to where lines begin"),
]

PROCESSES: list[Binding] = [
    _key("t", "tree", "tree", "processes.tree", "grouped by service and user, with what each holds", show=True),
    _key("K", "signal", "signal", "processes.signal", "send a signal to the process", show=True),
]

FINDINGS: list[Binding] = [
    _key("enter", "jump", "go to it", "findings.jump", "select the service that the finding is about", show=True),
]

HISTORY: list[Binding] = [
    _key("enter", "open", "open", "history.open", "what this revision assigned, or what this apply did", show=True),
    _key(
        "space", "mark", "compare", "history.compare", "compare: mark one revision, then press it on another", show=True
    ),
    _key("R", "roll_back", "roll back", "history.rollback.to", "assign again what this revision assigned", show=True),
]

LAUNCH: list[Binding] = [
    _key("X", "cancel", "cancel", "launch.cancel", "roll back the running apply", show=True),
]

GPUS: list[Binding] = [
    _key("T", "topology", "links", "gpu.links", "how the GPUs reach each other", show=True),
    _key("ctrl+d,ctrl+f", "scroll(0, 8)", "more", "gpu.down", "what does not fit below"),
    _key("ctrl+u,ctrl+b", "scroll(0, -8)", "less", "gpu.up", "back up"),
    _key("greater_than_sign", "scroll(8, 0)", "right", "gpu.right", "what does not fit to the right"),
    _key("less_than_sign", "scroll(-8, 0)", "left", "gpu.left", "back to the left"),
    _key("escape,q,m", "leave", "back", "gpu.leave", "back to the main screen", show=True),
    _key("question_mark", "help", "help", "gpu.help", "all keys", show=True),
]

CONTEXTS: dict[str, list[Binding]] = {
    "everywhere": MAIN,
    "services": SERVICES,
    "tables": ROWS,
    "logs": LOGS,
    "launch": LAUNCH,
    "processes": PROCESSES,
    "findings": FINDINGS,
    "history": HISTORY,
    "GPUs": GPUS,
}
"""All key bindings by the context in which they apply."""

PLACE = {binding.id or "": name for name, bindings in CONTEXTS.items() for binding in bindings}
"""The context of each key by its id, in the order of the help."""


def is_one_of_digits(identity: str) -> bool:
    """Whether the key is one of a group of digit keys."""
    return identity.startswith(("gpu.toggle.", "log.window."))


CHANGES = frozenset((
    "toggle_gpu", "edit", "strategies", "take_fix", "toggle_enabled", "undo", "redo", "save", "apply", "lifecycle",
    "stop_or_start", "take_file", "roll_back", "fall_back", "shell", "new_service", "signal", "cancel",
))  # fmt: skip
"""The actions that are not available in read-only mode."""
