# One image for all roles: `docker run vramgate --help`. Built by `docker compose build`.
FROM python:3.11-slim

WORKDIR /opt/vramgate
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY config config
COPY dashboard dashboard
COPY gateway gateway
COPY scheduler scheduler
COPY simulator simulator
COPY store store
COPY worker_agent worker_agent
# The checkout itself is on the path, as with ./run: there is nothing to build but the pages.
RUN python -m dashboard.build_ui \
    && python -c "import site; open(site.getsitepackages()[0] + '/vramgate.pth', 'w').write('/opt/vramgate\n')" \
    && printf '#!/bin/sh\nexec python -P -m cli.main "$@"\n' > /usr/local/bin/vramgate \
    && chmod 755 /usr/local/bin/vramgate \
    && useradd --uid 10001 --create-home vramgate \
    && install -d -o vramgate -g vramgate /data /data/files

USER vramgate
ENV VRAMGATE_DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8288
ENTRYPOINT ["vramgate"]
CMD ["up", "--help"]
