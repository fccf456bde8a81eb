# The page of `ddsim serve` in a container, for the service `web` of docker-compose.yml: a user without rights, and nothing
# that is written but the state folder, /app/.ddsim. The catalogue is mounted at /app/catalogue.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
# A base that has it already is built upon without a network.
RUN python3 -c 'import ensurepip' >/dev/null 2>&1 || { \
      apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*; }

FROM base AS build
ARG EXTRAS=local,web
# Where wheels/ has been filled (by .ci/engine.sh, with what pip on the host can reach), nothing is downloaded.
COPY . /src
RUN python3 -m venv /opt/ddsim && \
    if ls /src/tests/integration/wheels/*.whl >/dev/null 2>&1; then \
      /opt/ddsim/bin/pip install --no-cache-dir --no-index --find-links /src/tests/integration/wheels "deepdetect-visual-search[$EXTRAS]"; \
    else \
      /opt/ddsim/bin/pip install --no-cache-dir "/src[$EXTRAS]"; \
    fi

FROM base
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin ddsim && \
    mkdir --parents /app/catalogue /app/.ddsim && chown ddsim:ddsim /app/.ddsim
COPY --from=build /opt/ddsim /opt/ddsim
COPY configs /app/configs
ENV PATH=/opt/ddsim/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /app
EXPOSE 8000
CMD ["ddsim", "serve", "--host", "0.0.0.0"]
