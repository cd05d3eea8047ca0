# The library and its commands on a processor.
#
#     docker build --tag i3d .
#     docker run --rm i3d make demo
#     docker run --rm --volume "$PWD:/data" i3d i3d-predict --model /data/model --video /data/clip.mp4
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /i3d
COPY . .
RUN make install
ENV PATH=/i3d/.venv/bin:$PATH
CMD ["make", "demo"]
