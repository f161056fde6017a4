"""How fast it is, as ratios within one run: against ceilings, against peers, against itself."""
