"""Websockets: rooms and broadcasts, within one process or across all instances of an application."""
