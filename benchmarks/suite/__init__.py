"""The suite around the programs: runs them in fresh processes, keeps, compares and shows what they measured."""
