"""The rewards of the table `REWARDS`: what each reads and how it is drawn; networks are imported when one is built."""
