"""One module for each contender, all serving the same endpoint; `contract.Peer` says what each provides."""
