"""A run as a picture: machines as rows, time to the right, messages as arrows. One HTML file."""

from simnet.picture.page import draw_page
from simnet.picture.window import Window, choose_window

__all__ = ["Window", "choose_window", "draw_page"]
