"""Stylise images: python infer.py ckpt=model.safetensors input=photo.jpg"""

from fast_style.commands.infer import main

if __name__ == "__main__":
    main()
