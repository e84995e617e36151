"""The mesh: Moleculer.js as a peer, the servers where nodes meet, and what they say there."""
