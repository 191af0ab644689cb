"""The slow ways, each with a picture at the end: python optimize.py task=style_transfer content=photo.jpg"""

from fast_style.commands.optimize import main

if __name__ == "__main__":
    main()
