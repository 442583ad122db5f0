"""The one way to change an entity: validated, judged, written with its change."""
