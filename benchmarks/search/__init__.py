"""How good a search is: simulated over recorded trainings (`tables/`), and on real ones."""
