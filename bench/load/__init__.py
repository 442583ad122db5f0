"""What is offered: signed events, and the clients and subscribers that carry them."""
