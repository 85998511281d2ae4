"""A sweep while it runs: as a picture in the terminal, and as the report page in the browser. Both only read."""
