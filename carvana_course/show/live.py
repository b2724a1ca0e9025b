"""A widget where a person watches; elsewhere, and in a saved notebook that is opened anew, a still in its place.

JupyterLab never falls back: of a widget and a picture in one output it takes the widget, and where that has no kernel
any more says "model not found". So each has an output of its own, and a style sheet before them shows one of the two.
"""

from IPython.display import display

from carvana_lib.device import is_live

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SHEET = ".jp-OutputArea-child:has(> * > .carvana-live)"  # the output of the sheet; the still and the widget follow it
STYLE = f"""<style class='carvana-live'>
{SHEET}, {SHEET} + :has(+ * .widget-box), {SHEET} + * + :not(:has(.widget-box)) {{ display: none; }}
</style>"""


class Live:
    """What has a `widget`, a box, and gives its still by `_repr_mimebundle_`; the last line of a cell shows either."""

    def _ipython_display_(self):
        if not is_live():
            raise NotImplementedError  # which tells IPython to go on to _repr_mimebundle_
        still, metadata = self._repr_mimebundle_()
        view = self.widget._repr_mimebundle_()[WIDGET_VIEW]
        display({"text/html": STYLE, "text/plain": ""}, raw=True)
        display(still, metadata=metadata, raw=True)
        display({WIDGET_VIEW: view, "text/plain": ""}, raw=True)
