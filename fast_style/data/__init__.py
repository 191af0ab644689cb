"""What goes in: pictures, styles, content images."""
