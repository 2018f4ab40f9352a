"""Ablations of VIPER: agents whose reward has one part changed (paper 4.4, Fig 9)."""
