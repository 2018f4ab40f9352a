# docker build --target cpu -t viper .     and     docker build --target cuda -t viper-cuda .
# docker run --rm -v $PWD/out:/out viper   runs `make repro`; pages are then in out/reports/
FROM python:3.11-slim-bookworm AS base
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends git make libegl1 libegl-mesa0 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*
ENV DVC_NO_ANALYTICS=1 KEDRO_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1 OMP_NUM_THREADS=1 MUJOCO_GL=egl \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /viper
RUN python -m venv .venv
COPY requirements.lock ./

# torch first, for CPU or CUDA; either satisfies the lock
FROM base AS cpu-packages
RUN .venv/bin/pip install -q --index-url https://download.pytorch.org/whl/cpu "$(grep -o '^torch==[^ ;]*' requirements.lock)"
RUN .venv/bin/pip install -q --no-deps --require-hashes -r requirements.lock

FROM base AS cuda-packages
RUN .venv/bin/pip install -q "$(grep -o '^torch==[^ ;]*' requirements.lock)"
RUN .venv/bin/pip install -q --no-deps --require-hashes -r requirements.lock

FROM cpu-packages AS cpu
COPY . .
RUN .venv/bin/pip install -q --no-deps -e . && touch .venv/ready
CMD ["sh", "-c", "make repro && mkdir -p /out && cp -r reports /out/"]

FROM cuda-packages AS cuda
COPY . .
RUN .venv/bin/pip install -q --no-deps -e . && touch .venv/ready
ENV NVIDIA_DRIVER_CAPABILITIES=all
CMD ["sh", "-c", "make repro && mkdir -p /out && cp -r reports /out/"]
