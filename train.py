"""Train a style: python train.py style=starry_night"""

from fast_style.commands.train import main

if __name__ == "__main__":
    main()
