"""A fake of the vendor's package; see fakes/README.md."""
