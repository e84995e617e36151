"""Moleculer.js 0.15, which speaks protocol 5."""

from functools import partial

from peers import js_mesh

PROTOCOL = 5
DISTRIBUTIONS: tuple[str, ...] = ()
EXTRA = js_mesh.measures(PROTOCOL)

serve = partial(js_mesh.serve, PROTOCOL)
stop = js_mesh.stop
