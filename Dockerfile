# The REST service: promoted agents behind HTTP, without torch or ray.
#   docker build -t wealtharena-serve .
# See docs/serving.md for keys and volumes, compose.yaml for a setting with a read-only file system.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/wealtharena && /opt/wealtharena/bin/pip install pip==25.3
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN /opt/wealtharena/bin/pip install --constraint constraints.txt --group serve
COPY conf ./conf
COPY sweeps ./sweeps
COPY wealtharena ./wealtharena
RUN /opt/wealtharena/bin/pip install --no-deps .

# Trading on paper needs the whole package, torch and all: docker build --target paper -t wealtharena-paper .
# A broker's library is added by --build-arg EXTRAS=alerts,alpaca (or ib)
FROM python:3.11.14-slim-bookworm AS paper-build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/wealtharena && /opt/wealtharena/bin/pip install pip==25.3
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN /opt/wealtharena/bin/pip install "$(grep '^torch==' constraints.txt)"
COPY conf ./conf
COPY sweeps ./sweeps
COPY wealtharena ./wealtharena
ARG EXTRAS=alerts
RUN /opt/wealtharena/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"

FROM python:3.11.14-slim-bookworm AS paper

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin serve \
    && install -d -o 10001 -g 10001 /srv/wealtharena /srv/accounts /srv/data
COPY --from=paper-build /opt/wealtharena /opt/wealtharena
ENV PATH=/opt/wealtharena/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
VOLUME ["/srv/wealtharena", "/srv/accounts", "/srv/data"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["wealtharena", "task=paper", "paths.checkpoints=/srv/wealtharena", "paths.results=/srv/accounts/results", "paths.ledger=/srv/accounts/results/ledger.jsonl", "paper.root=/srv/accounts", "data.root=/srv/data"]
CMD ["asset=crypto", "paper.feed=live"]

FROM python:3.11.14-slim-bookworm

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin serve \
    && install -d -o 10001 -g 10001 /srv/wealtharena /srv/keys
COPY --from=build /opt/wealtharena /opt/wealtharena
ENV PATH=/opt/wealtharena/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
VOLUME ["/srv/wealtharena", "/srv/keys"]
# asks where process 1 was told to listen, straight: a proxy of the environment is for other addresses
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h; said = dict(w.partition('=')[::2] for w in open('/proc/1/cmdline').read().split('\\0')); c = h.HTTPConnection(said['serve.host'].strip('[]'), int(said.get('serve.port', 8000)), timeout=2); c.request('GET', '/health'); assert c.getresponse().status == 200"]
STOPSIGNAL SIGTERM
# Hydra writes nothing; what follows `docker run <image>` is added to these.
ENTRYPOINT ["wealtharena", "hydra.output_subdir=null", "hydra.run.dir=.", "task=serve", "serve.host=0.0.0.0", "paths.checkpoints=/srv/wealtharena", "serve.keys_file=/srv/keys/keys.json"]
CMD ["serve.workers=2"]
