# The targets: `service` (the default), `service-tensorflow`, which also serves bundles without model.onnx, `training`,
# and `proxy`, which spreads requests over several services. Docker's classic builder builds every stage before the
# target's stage, so the slowest stages come last.
# The base is Debian with Python 3.11 to 3.13; if no registry can be reached, docker/base.sh makes a base image.
ARG BASE=python:3.11-slim-bookworm

# ---- The packages of the service, from the lock
FROM ${BASE} AS environment
COPY requirements/serve.txt requirements/
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --no-compile --require-hashes -r requirements/serve.txt

# ---- The same without unused files, and compiled, because the file system is read-only later
FROM ${BASE} AS trimmer
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils >/dev/null
COPY docker/trim.sh docker/

FROM trimmer AS trimmed
COPY --from=environment /opt/venv /opt/venv
RUN sh docker/trim.sh /opt/venv

# ---- The service and its models, readable for every user, independent of the rights in the checkout
FROM ${BASE} AS source
WORKDIR /srv/lstm-serve
COPY models models
COPY bundle bundle
COPY tables tables
COPY app app
RUN chmod -R a+rX . && python3 -m compileall -q app bundle tables

# ---- The runtime of the service
FROM ${BASE} AS runtime
RUN groupadd --gid 10001 lstm-serve && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin lstm-serve
WORKDIR /srv/lstm-serve
# A new volume gets the owner of the folder where it is mounted.
RUN install -d -o 10001 -g 10001 policies
# The service writes only there, if a volume is mounted; libraries write their home files to /tmp.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    LSTM_SERVE_HOST=0.0.0.0 LSTM_SERVE_PORT=8000 LSTM_SERVE_MODELS=/srv/lstm-serve/models
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "app.processes.healthcheck"]
CMD ["python", "-m", "app"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="lstm-serve" \
      org.opencontainers.image.description="Serves Keras LSTM models over HTTP, batching sequences of unequal lengths" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

FROM runtime AS service
COPY --from=trimmed /opt/venv /opt/venv
COPY --from=source /srv/lstm-serve /srv/lstm-serve

# ---- A proxy for several services
FROM ${BASE} AS proxy
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends haproxy >/dev/null && rm -rf /var/lib/apt/lists/*
COPY docker/proxy.cfg /etc/haproxy/haproxy.cfg
RUN chmod a+r /etc/haproxy/haproxy.cfg
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]

# ---- The service with TensorFlow
FROM environment AS environment-tensorflow
COPY requirements/serve-tensorflow.txt requirements/
RUN /opt/venv/bin/pip install --quiet --no-cache-dir --no-compile --require-hashes -r requirements/serve-tensorflow.txt

FROM trimmer AS trimmed-tensorflow
COPY --from=environment-tensorflow /opt/venv /opt/venv
RUN sh docker/trim.sh /opt/venv

FROM runtime AS service-tensorflow
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 CMD ["python", "-m", "app.processes.healthcheck"]
COPY --from=trimmed-tensorflow /opt/venv /opt/venv
COPY --from=source /srv/lstm-serve /srv/lstm-serve

# ---- Training, with everything it needs
FROM environment-tensorflow AS training
COPY requirements/training.txt requirements/
RUN /opt/venv/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements/training.txt
WORKDIR /srv/lstm-serve
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY bundle bundle
COPY tables tables
COPY training training
RUN chmod -R a+rX .
USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM service
