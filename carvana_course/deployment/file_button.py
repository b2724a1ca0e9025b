"""A button to choose a file with, and a look at the file's size before the page sends it.

A message to the kernel may have 10 MiB, unless the server is told otherwise. A larger one ends the connection: the
kernel never hears of that file, and the button sends no other afterwards. ipywidgets does not look, so the page must.
"""

import html

import ipywidgets as W

MAX_MEGABYTES = 9
# The field that holds the chosen file is not in the page, so it is caught as the button presses it. Its listener stops
# what is too large before ipywidgets hears of it, and types size and name into a hidden text for the kernel to read.
SCRIPT = """
if (!window.carvanaFiles) {
    window.carvanaFiles = true;
    const press = HTMLInputElement.prototype.click;
    const look = event => {
        const file = event.target.files[0];
        if (!file || file.size <= LIMIT) return;
        event.stopImmediatePropagation();
        const text = event.target.button.closest('.widget-vbox').querySelector('.carvana-refused input');
        text.value = `${file.size} ${file.name}`;
        text.dispatchEvent(new Event('input', {bubbles: true}));
    };
    document.addEventListener('click', event => {
        const button = event.target.closest('.carvana-file');
        if (!button) return;
        HTMLInputElement.prototype.click = function () {
            this.button = button;
            this.addEventListener('change', look, true);
            press.call(this);
        };
        setTimeout(() => { HTMLInputElement.prototype.click = press; });
    }, true);
}
""".replace("LIMIT", f"{1e6 * MAX_MEGABYTES:.0f}")


def file_button(description: str, tooltip: str, accept: str) -> W.FileUpload:
    """A button that lets a person choose a file of the MIME types in `accept`."""
    button = W.FileUpload(description=description, tooltip=tooltip, accept=accept, layout={"width": "220px"})
    button.add_class("carvana-file")
    return button


def size_guard(refuse) -> W.Box:
    """Stands unseen in one VBox with the buttons; calls `refuse(name, bytes)` for a file that is too large."""
    script = W.HTML(f"<img alt='' src='data:,' onerror='{html.escape(SCRIPT)}'>")  # a script element would not run
    refused = W.Text()
    refused.add_class("carvana-refused")

    def hear(change):
        size, _, name = change.new.partition(" ")
        if size:
            refused.value = ""  # so that the same file is heard of again
            refuse(name, int(size))

    refused.observe(hear, "value")
    return W.Box([script, refused], layout={"display": "none"})
