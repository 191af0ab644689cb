"""A trained network and pictures: pictures."""
