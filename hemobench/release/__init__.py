"""From finished runs to a checkpoint folder: operating points, export, card, recipes, failures."""
