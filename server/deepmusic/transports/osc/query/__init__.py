"""OSCQuery: the address space described, so that a tablet builds its own controls."""
