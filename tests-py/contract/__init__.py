"""The contract: behaviours that hold on every lane, written once. `lanes` says what a lane is."""
