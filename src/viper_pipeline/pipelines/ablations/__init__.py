"""What VIPER owes to its parts (paper 4.4, Fig 9)."""
