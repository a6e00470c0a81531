# Two images of one program, both with nothing else in them, not even a shell:
# - bundle, the default: Node, the libraries it needs, and the bundle
# - exe: the executable and the libraries it needs
# Run either with --stop-timeout 30: the default of 10 s is shorter than the drain's 20 s.

# Brings npm, binutils and the libraries. The Node that is shipped is that of package-lock.json.
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-trixie

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .

FROM build AS exe_files
# What --version and /metrics say it was built from.
ARG COMMIT=
RUN COMMIT=$COMMIT npm run build:exe
RUN image/root /root_of_image dist/greeter dist/greeter.LEGAL.txt

FROM build AS bundle_files
ARG COMMIT=
# As its publisher built it, but for a fifth of its bytes, which are symbols.
RUN COMMIT=$COMMIT npm run build && strip --strip-all -o node node_modules/.bin/node
RUN image/root /root_of_image node dist/greeter.mjs dist/greeter.mjs.LEGAL.txt

# What both images are told. It has no files of its own.
FROM scratch AS common
# Without TZ a minimal image opens the whole zoneinfo tree at start. glibc would keep the memory of
# buffers that are gone, in an arena for each thread, and that of large ones among what is in use.
ENV TZ=UTC MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=1048576
USER 65532:65532
EXPOSE 50051 9999 50052 9464
ARG COMMIT=
LABEL org.opencontainers.image.title="greeter" \
  org.opencontainers.image.description="A gRPC test server, and a template for production services" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="0.1.0" \
  org.opencontainers.image.revision="${COMMIT}"

FROM common AS exe
COPY --from=exe_files /root_of_image /
ENTRYPOINT ["/usr/bin/greeter"]

FROM common AS on_node
# Node's default heap limit is above what a small pod has; its nursery would take another 100 MB of
# it when it is busy. SIGUSR1 opens no port for debuggers, from the first moment on.
ENV NODE_OPTIONS="--max-old-space-size-percentage=60 --max-semi-space-size=4 --disable-sigusr1"
ENV NODE_COMPILE_CACHE=/app/cache

# Node finds only what the same user has compiled, at the same path and with the same flags. That it
# runs here shows that no library is missing.
FROM on_node AS cache
COPY --from=bundle_files --chown=65532:65532 /root_of_image /
RUN ["/usr/bin/node", "/app/greeter.mjs", "--version"]

FROM on_node AS bundle
COPY --from=bundle_files /root_of_image /
# Nobody's to change, and anybody's to read: Node makes it for its owner alone.
COPY --from=cache --chown=0:0 --chmod=555 /app/cache /app/cache
# The root may be read-only, and what is compiled at run time is not worth a file.
ENV NODE_COMPILE_CACHE_READONLY=1
ENTRYPOINT ["/usr/bin/node", "/app/greeter.mjs"]
