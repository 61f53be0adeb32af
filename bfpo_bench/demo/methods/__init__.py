"""The common table: every method of docs/methods.md in the demo's world."""
