"""How good a bundle is: on pairs with an oracle, on material without one, in tables and pictures."""
