# The base set needs nothing from the system: its wheels bring ffmpeg, the speech model and the renderer.
FROM python:3.12-slim AS build
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY lock/base.txt lock/base.txt
RUN /venv/bin/pip install --require-hashes --no-deps --only-binary :all: -r lock/base.txt
# --build-arg TRAINING=cuda (or cpu) adds what training needs; without it the image stays small.
ARG TRAINING=
COPY lock/train.txt lock/train.txt
RUN case "$TRAINING" in \
      "") exit 0 ;; \
      cuda) /venv/bin/pip install torch==2.13.0 ;; \
      cpu) /venv/bin/pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 ;; \
      *) echo "TRAINING is cuda, cpu or empty" && exit 1 ;; \
    esac && /venv/bin/pip install --require-hashes --no-deps --only-binary :all: -r lock/train.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY bot bot
COPY cogs cogs
COPY pipeline pipeline
COPY storage storage
COPY training training
RUN /venv/bin/pip install --no-build-isolation --no-deps .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 studio && mkdir /data && chown studio /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH DATA_DIR=/data PYTHONUNBUFFERED=1
USER studio
WORKDIR /home/studio
VOLUME /data
# Asks the running bot over its socket in DATA_DIR, so a bot that hangs is unhealthy too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["emf", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["emf"]
CMD ["run"]
