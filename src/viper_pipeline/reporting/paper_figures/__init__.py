"""The paper's figures and tables, drawn from what there is."""
