"""Moleculer.js 0.14, which speaks protocol 4."""

from functools import partial

from peers import js_mesh

PROTOCOL = 4
DISTRIBUTIONS: tuple[str, ...] = ()
EXTRA = js_mesh.measures(PROTOCOL)

serve = partial(js_mesh.serve, PROTOCOL)
stop = js_mesh.stop
