"""Pictures side by side, as one."""

from PIL import Image, ImageDraw, ImageFont

TITLE_HEIGHT, LABEL_HEIGHT, GAP = 28, 22, 6


def draw_sheet(rows: list[list[tuple[Image.Image, str]]], titles: list[str], size: int) -> Image.Image:
    """Rows of squares with a label under each; the columns have titles."""
    width, height = size + GAP, size + LABEL_HEIGHT
    sheet = Image.new("RGB", (len(titles) * width - GAP, TITLE_HEIGHT + len(rows) * height), "white")
    draw, middle = ImageDraw.Draw(sheet), size / 2
    for column, title in enumerate(titles):
        place = (column * width + middle, TITLE_HEIGHT / 2)
        draw.text(place, title, "black", ImageFont.load_default(17), "mm")
    for index, row in enumerate(rows):
        top = TITLE_HEIGHT + index * height
        for column, (picture, label) in enumerate(row):
            sheet.paste(picture, (column * width, top))
            place = (column * width + middle, top + size + LABEL_HEIGHT / 2 - 1)
            draw.text(place, label, "black", ImageFont.load_default(14), "mm")
    return sheet
