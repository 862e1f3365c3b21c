# One image for api, worker and studio: `docker compose up` starts it with different commands.
FROM python:3.11-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/ requirements/
RUN python -m venv /opt/modelbridge \
 && /opt/modelbridge/bin/pip install -q --require-hashes -r requirements/setup.txt \
 && /opt/modelbridge/bin/pip install -q --no-deps --require-hashes -r requirements/runtime.txt -r requirements/local.txt
COPY pyproject.toml README.md ./
COPY deploy/locked_dependencies.py deploy/
COPY bridge/ bridge/
COPY evaluators/ evaluators/
COPY nodes/ nodes/
COPY flows/ flows/
COPY platform_api/ platform_api/
COPY studio/ studio/
RUN /opt/modelbridge/bin/pip install -q --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/modelbridge modelbridge
COPY --from=build /opt/modelbridge /opt/modelbridge
COPY examples/ /opt/modelbridge/examples/
ENV PATH=/opt/modelbridge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MODELBRIDGE_HOME=/var/lib/modelbridge \
    DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
USER modelbridge
WORKDIR /var/lib/modelbridge
EXPOSE 8000 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["modelbridge", "serve", "--host", "0.0.0.0", "--port", "8000"]
