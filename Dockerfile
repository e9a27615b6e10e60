# syntax=docker/dockerfile:1
# docker build -t mplus .
# docker run --rm -it --network none -v mplus:/data -v "$PWD:/books:ro" mplus ingest /books/emma.epub
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
# PyTorch without GPU support is 0.8 GB smaller to download; TORCH=auto takes what the machine has.
ARG TORCH=cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "uv>=0.9,<1" \
    && uv pip install --system --no-cache --torch-backend "$TORCH" /wheels/*.whl \
    && useradd --create-home --uid 1000 reader \
    && install -d -o reader -g reader -m 700 /data
USER 1000
ENV MPLUS_HOME=/data
# With the model in the image, a container needs no network.
RUN mplus model pull
VOLUME /data
ENTRYPOINT ["mplus"]
