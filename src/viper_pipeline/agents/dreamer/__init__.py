"""DreamerV3 with Plan2Explore (Hafner et al. 2023, Sekar et al. 2020; paper 4.2 and Table 3)."""
