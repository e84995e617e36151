"""The mesh from a terminal: a prompt whose commands are those of Moleculer's."""
