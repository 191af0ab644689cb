# docker build -t fast-style . && docker run --rm -p 8000:8000 fast-style
# Your own models: docker run --rm -p 8000:8000 -v "$PWD/outputs/models:/models:ro" fast-style models=/models
FROM python:3.12-slim
WORKDIR /app
# --build-arg TORCH_INDEX=... with the index of builds for CPUs alone, which PyTorch's installation page names, saves five
# gigabytes of CUDA.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir torch torchvision ${TORCH_INDEX:+--index-url $TORCH_INDEX}
COPY pyproject.toml README.md LICENSE ./
COPY fast_style fast_style
COPY configs configs
COPY checkpoints checkpoints
RUN pip install --no-cache-dir ".[serve]" && rm -r build fast_style.egg-info
USER nobody
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["fast-style-serve", "host=0.0.0.0"]
CMD ["models=checkpoints"]
