"""Objects: names, handles, processes, threads; and who may do what with them (tokens, SIDs, ACLs)."""
