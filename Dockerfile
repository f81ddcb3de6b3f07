# Two images from one file:
#
#   cluster  Airflow with Fanfold: all Airflow services of docker-compose.yaml
#   tryout   the API simulator and an S3 server, without Airflow
#
# The base image is an argument, for a mirror or a digest:
#   docker build --build-arg BASE_IMAGE=registry.example/debian@sha256:… .
# It must have apt and Python 3.11 to 3.13 as python3, as Debian 13 has.
ARG BASE_IMAGE=debian:trixie-20260918-slim

# --- base of both images ----------------------------------------------------------------------
FROM ${BASE_IMAGE} AS base
# Security updates since the release of the base image.
RUN apt-get update \
    && apt-get upgrade -y \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/*
# No setuid or setgid programs.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow --shell /usr/sbin/nologin airflow
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    # Modules are compiled at build time; the file system is read-only at run time.
    PYTHONDONTWRITEBYTECODE=1

# --- build tools, not in the images---------------------------------------------------------------
FROM base AS tools
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
WORKDIR /build
COPY requirements-uv.lock ./
# A package index for pip and uv; empty: the public one.
ARG PIP_INDEX_URL=
ENV UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never \
    # The system's certificates, with those that a company adds to its base image.
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --quiet --no-cache-dir ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} \
       --require-hashes -r requirements-uv.lock

# --- the packages of the cluster ----------------------------------------------------------------
FROM tools AS cluster-packages
COPY requirements.lock pyproject.toml ./
# Tests and C headers of packages are a tenth of the image.
RUN /opt/tools/bin/uv venv --quiet --python python3 /opt/venv \
    && VIRTUAL_ENV=/opt/venv /opt/tools/bin/uv pip install --quiet --no-cache \
       ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} --require-hashes \
       --constraints requirements.lock -r pyproject.toml --extra cluster \
    && cd /opt/venv/lib/python3*/site-packages \
    && find pandas numpy pyarrow -depth -type d -name tests -exec rm -r {} + \
    && rm -r pyarrow/include

# --- the packages of tryout --------------------------------------------------------------------
FROM tools AS tryout-packages
COPY requirements.lock pyproject.toml ./
RUN /opt/tools/bin/uv venv --quiet --python python3 /opt/venv \
    && VIRTUAL_ENV=/opt/venv /opt/tools/bin/uv pip install --quiet --no-cache \
       ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} --require-hashes \
       --constraints requirements.lock --group tryout

# --- the project, in a layer of its own: its upgrades are small --------------------------------------
FROM tryout-packages AS project
COPY pyproject.toml README.md LICENSE ./
COPY include ./include
RUN /opt/tools/bin/uv build --quiet --wheel --no-build-isolation --python /opt/venv/bin/python \
       --out-dir /wheels . \
    && packages=$(/opt/venv/bin/python -c 'import site; print(site.getsitepackages()[0])') \
    && /opt/tools/bin/uv pip install --quiet --no-cache --no-deps --offline \
       --python /opt/venv/bin/python --target "/out$packages" /wheels/*.whl

# --- tryout -------------------------------------------------------------------------------------
FROM base AS tryout
COPY --from=tryout-packages /opt/venv /opt/venv
COPY --from=project /out /
# What the simulator runs as functions of a cloud.
COPY include/functions /opt/fanfold/functions
RUN install -d -o airflow -g 0 -m 0750 /var/lib/fanfold/s3
USER 50000:0
WORKDIR /tmp

# --- cluster: the default target of `docker build` -------------------------------------------------
FROM base AS cluster
COPY --from=cluster-packages /opt/venv /opt/venv
COPY --from=project /out /
COPY config /opt/fanfold/config
COPY plugins /opt/fanfold/plugins
COPY dags /opt/fanfold/dags
COPY include/pipelines /opt/fanfold/include/pipelines
# A new named volume gets the owner and mode of the folder that it is mounted on.
RUN install -d -o airflow -g 0 -m 0770 /opt/airflow /var/lib/fanfold/shared /var/lib/fanfold/logs
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/fanfold/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/fanfold/plugins \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/lib/fanfold/logs \
    # Tasks log what they do: no line for each look-up of a connection and each returned value.
    AIRFLOW__LOGGING__NAMESPACE_LEVELS=airflow.providers.amazon=WARNING,airflow.task.hooks=WARNING,airflow.task.operators.airflow.providers.standard.decorators.python=WARNING,botocore=WARNING,urllib3=WARNING \
    FANFOLD_SHARED_DIR=/var/lib/fanfold/shared \
    # For airflow_local_settings.py, and for the package pipelines, which is not in the wheel.
    PYTHONPATH=/opt/fanfold/config:/opt/fanfold/include
ARG FANFOLD_VERSION=0.1.0
LABEL org.opencontainers.image.title=fanfold \
      org.opencontainers.image.version=$FANFOLD_VERSION \
      org.opencontainers.image.licenses=Apache-2.0
USER 50000:0
WORKDIR /opt/airflow
CMD ["airflow", "version"]
