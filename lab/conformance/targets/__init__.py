"""The targets: each module makes a bench out of one kind of card."""
